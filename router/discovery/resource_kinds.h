#pragma once

#include <string>

#include "router/discovery/verdict.h"
#include "router/kubernetes/resource.h"

namespace router::discovery {

inline const kubernetes::Resource kOnlineEndpoints{"inference-router.dev", "v1alpha1", "onlineendpoints"};
inline const kubernetes::Resource kOnlineDeployments{"inference-router.dev", "v1alpha1", "onlinedeployments"};

inline const kubernetes::Resource& resource_of(ResourceVerdict::Kind kind) {
  return kind == ResourceVerdict::Kind::kEndpoint ? kOnlineEndpoints : kOnlineDeployments;
}
/// `kind` of an object.
inline const char* kind_name(ResourceVerdict::Kind kind) {
  return kind == ResourceVerdict::Kind::kEndpoint ? "OnlineEndpoint" : "OnlineDeployment";
}

}  // namespace router::discovery

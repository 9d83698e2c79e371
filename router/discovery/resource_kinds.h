#pragma once

#include <string>

#include "router/discovery/reconcile_result.h"
#include "router/kubernetes/group_version_resource.h"

namespace router::discovery {

inline const kubernetes::GroupVersionResource kOnlineEndpoints{"inference-router.dev", "v1alpha1", "onlineendpoints"};
inline const kubernetes::GroupVersionResource kOnlineDeployments{"inference-router.dev", "v1alpha1", "onlinedeployments"};

inline const kubernetes::GroupVersionResource& resource_of(ReconcileResult::Kind kind) {
  return kind == ReconcileResult::Kind::kEndpoint ? kOnlineEndpoints : kOnlineDeployments;
}
/// The member `kind` of an object.
inline const char* kind_name(ReconcileResult::Kind kind) {
  return kind == ReconcileResult::Kind::kEndpoint ? "OnlineEndpoint" : "OnlineDeployment";
}

}  // namespace router::discovery

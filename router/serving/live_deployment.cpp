#include "router/serving/live_deployment.h"

#include "router/base/text.h"

namespace router::serving {

DeploymentKey deployment_key(const std::string& namespace_name, const std::string& endpoint, const std::string& deployment) {
  std::string key = lower_case(endpoint) + "/" + lower_case(deployment);
  return namespace_name.empty() ? key : namespace_name + "/" + key;
}

DeploymentKey deployment_key(const config::Deployment& deployment) {
  return deployment_key(deployment.namespace_name, deployment.endpoint_name, deployment.name);
}

}  // namespace router::serving

#include "router/serving/live_deployment.h"

#include <algorithm>

#include "router/base/text.h"

namespace router::serving {

DeploymentKey deployment_key(const std::string& namespace_name, const std::string& endpoint, const std::string& deployment) {
  std::string key = lower_case(endpoint) + "/" + lower_case(deployment);
  return namespace_name.empty() ? key : namespace_name + "/" + key;
}

DeploymentKey deployment_key(const config::Deployment& deployment) {
  return deployment_key(deployment.namespace_name, deployment.endpoint_name, deployment.name);
}

dispatch::QueueOptions queue_options(const config::Deployment& settings, std::size_t replicas) {
  constexpr std::size_t kLengthMin = 64;  // contract, section 5
  const std::size_t slots = settings.max_concurrent_requests_per_instance * replicas;
  const std::size_t length = settings.max_queue_length.value_or(std::max(2 * slots, kLengthMin));
  return {.length_max = length, .waking_max = settings.scaling.hold_requests.value_or(length)};
}

Counted LiveDeployment::counted() const {
  return {made, queue->integrals(), metrics->offered() - offered_before, queue->demand().waking};
}

}  // namespace router::serving

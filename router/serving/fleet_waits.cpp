#include "router/serving/fleet_waits.h"

#include <algorithm>

namespace router::serving {
namespace {

constexpr std::chrono::seconds kGraceMost{30};  // as long as it is no longer than this, a request timeout counts

}  // namespace

void FleetWaits::add(const config::Deployment& deployment) {
  const fleet::BootDuration timeout = deployment.request_timeout;
  if (timeout <= kGraceMost) waits_.running_grace = std::max(waits_.running_grace, timeout);
  // With `drain_on_abort` the pod is not asked to stop.
  const fleet::BootDuration abort_wait = deployment.drain_on_abort ? timeout : fleet::BootDuration(deployment.abort_wait);
  waits_.abort_wait = std::max(waits_.abort_wait, abort_wait);
}

FleetWaits waits_of(const config::Config& config) {
  FleetWaits waits(config.process.fleet->running_grace);
  for (const config::Endpoint& endpoint : config.endpoints) {
    for (const config::Deployment& each : endpoint.deployments) {
      if (each.max_concurrent_requests_per_instance > 0) waits.add(each);
    }
  }
  return waits;
}

}  // namespace router::serving

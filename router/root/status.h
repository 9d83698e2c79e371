#pragma once

#include <cstdint>
#include <string>

#include "config/config.h"
#include "router/serving/cluster_source.h"
#include "router/serving/fleet_service.h"
#include "router/serving/live_deployments.h"

namespace router::root {

/// The content of `/status`: endpoints, deployments, replicas, slots, queues, generation, and the memory and descriptors of the
/// process. Never a secret. `cluster`: nullptr if no API server is followed; `fleet`: nullptr without one. Control thread.
std::string status_json(const config::Config& config, const serving::LiveDeployments& live,
                        const serving::ClusterSource* cluster, const serving::FleetService* fleet, std::uint64_t generation,
                        bool draining);

}  // namespace router::root

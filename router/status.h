#pragma once

#include <cstdint>
#include <string>

#include "config/config.h"
#include "router/cluster_source.h"
#include "router/live_deployments.h"

namespace router {

/// What `/status` shows: endpoints, deployments, replicas, slots, lines, generation, and how much the process holds. Never a
/// secret. `cluster`: nullptr if no API server is followed. Control thread.
std::string status_json(const config::Config& config, const LiveDeployments& live, const ClusterSource* cluster,
                        std::uint64_t generation, bool draining);

}  // namespace router

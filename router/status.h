#pragma once

#include <cstdint>
#include <string>

#include "config/config.h"
#include "router/live_deployments.h"

namespace router {

/// What `/status` shows: endpoints, deployments, replicas, slots, lines, generation, and how much the process holds. Never a
/// secret. Control thread.
std::string status_json(const config::Config& config, const LiveDeployments& live, std::uint64_t generation, bool draining);

}  // namespace router

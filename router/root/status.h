#pragma once

#include <cstdint>
#include <string>

#include "config/config.h"
#include "router/serving/autoscaler.h"
#include "router/serving/cluster_source.h"
#include "router/serving/fleet_service.h"
#include "router/serving/live_deployments.h"

namespace router::root {

struct StatusSources {
  const config::Config& config;
  const serving::LiveDeployments& live;
  const serving::ClusterSource* cluster = nullptr;  // nullptr: no API server is followed
  const serving::FleetService* fleet = nullptr;     // nullptr: no fleet
  serving::Autoscaler* autoscaler = nullptr;        // nullptr: no API server is followed
  std::uint64_t generation = 0;
  bool draining = false;
};

/// The content of `/status`: endpoints, deployments, replicas, slots, queues, generation, and the memory and descriptors of the
/// process. Never a secret. Control thread.
std::string status_json(const StatusSources& from);

}  // namespace router::root

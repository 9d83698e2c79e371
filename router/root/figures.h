#pragma once

#include <cstddef>

#include "router/metrics/process_figures.h"
#include "router/metrics/registry.h"
#include "router/proxy/view.h"
#include "router/serving/access_logs.h"
#include "router/serving/autoscaler.h"
#include "router/serving/cluster_source.h"
#include "router/serving/fleet_service.h"
#include "router/serving/live_deployments.h"
#include "router/serving/publication.h"

#ifndef ROUTER_VERSION
#define ROUTER_VERSION "unknown"
#endif

namespace router::root {

/// The sources of the figures in a scrape of `/metrics` that shards do not count.
struct FigureSources {
  const serving::Publication& publication;
  const serving::LiveDeployments& live;
  const proxy::Views& views;
  const serving::AccessLogs& access_logs;
  const serving::ClusterSource* cluster;  // nullptr: files only
  serving::Autoscaler* autoscaler;        // nullptr: files only
  metrics::ProcessUsage usage;
};

/// Control thread.
metrics::ProcessFigures process_figures(const FigureSources& from);
metrics::FleetFigures fleet_figures(const serving::FleetService& fleet, metrics::Registry& registry, std::size_t shards);

}  // namespace router::root

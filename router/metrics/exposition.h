#pragma once

#include <prometheus/metric_family.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "router/metrics/cells.h"
#include "router/metrics/process_figures.h"
#include "router/metrics/registry.h"

namespace router::metrics {

/// Puts what was counted into the metric families of one scrape: every shard's cells summed up, durations in seconds. Control
/// thread. A family stands once, in the order of names.h, also if it has no sample yet.
class Exposition {
 public:
  Exposition();

  void add(const ProcessFigures& figures);
  void add(const std::vector<ShardCells>& shards);
  void add(const DeploymentMetrics& metrics);
  /// `newest_refused`: the last one of them was.
  void add_reloads(std::uint64_t accepted, std::uint64_t refused, bool newest_refused);
  /// Of a deployment that is no longer configured.
  void add_outages(const std::string& endpoint, const std::string& deployment, const Outages& outages);

  std::vector<prometheus::MetricFamily> families() && { return std::move(families_); }

 private:
  std::vector<prometheus::MetricFamily> families_;
};

}  // namespace router::metrics

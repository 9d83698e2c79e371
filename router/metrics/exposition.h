#pragma once

#include <prometheus/metric_family.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "router/metrics/cells.h"
#include "router/metrics/names.h"
#include "router/metrics/process_figures.h"
#include "router/metrics/registry.h"

namespace router::metrics {

/// What is counted beside the deployments' cells and the process' figures.
struct Totals {
  const std::vector<ShardCells>& shards;
  std::uint64_t reloads_accepted = 0;
  std::uint64_t reloads_refused = 0;
  bool newest_refused = false;                     // the last one of them was
  std::optional<std::size_t> replicas_left_out{};  // nothing: no replica has figures of its own
};

/// One metric family of /metrics and where its samples come from: exactly one of the functions is there, and adds those of one
/// source. Every shard's cells are summed up, durations are in seconds. Control thread.
struct Family {
  Name name;
  prometheus::MetricType type;
  void (*of_metrics)(prometheus::MetricFamily&, const DeploymentMetrics&) = nullptr;  // of each deployment that is known
  void (*of_figures)(prometheus::MetricFamily&, const DeploymentFigures&) = nullptr;  // of each that is configured
  bool of_removed = false;  // `of_figures` also of those that are not configured any more, as last told
  void (*of_replicas)(prometheus::MetricFamily&, const ReplicaFigures&) = nullptr;  // of each that has figures of its own
  void (*of_process)(prometheus::MetricFamily&, const ProcessFigures&) = nullptr;
  void (*of_totals)(prometheus::MetricFamily&, const Totals&) = nullptr;

  prometheus::MetricFamily without_samples() const;
};

/// In the order in which they are shown. A family stands once, also if it has no sample.
std::span<const Family> families();

}  // namespace router::metrics

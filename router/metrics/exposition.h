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

/// What is counted besides the deployments' cells and the figures of the process.
struct Totals {
  const std::vector<ShardCells>& shards;
  std::uint64_t reloads_accepted = 0;
  std::uint64_t reloads_refused = 0;
  bool newest_refused = false;                     // the last reload was refused
  std::optional<std::size_t> replicas_left_out{};  // nothing: no replica has metrics of its own
};

/// One metric family of /metrics and the source of its samples. Exactly one of the functions is set, and adds the samples of
/// one source. Cells are summed over the shards; durations are in seconds. Control thread.
struct Family {
  Name name;
  prometheus::MetricType type;
  void (*of_metrics)(prometheus::MetricFamily&, const DeploymentMetrics&) = nullptr;  // of each known deployment
  void (*of_figures)(prometheus::MetricFamily&, const DeploymentFigures&) = nullptr;  // of each configured deployment
  bool of_removed = false;  // `of_figures` also of deployments that are not configured any more, as last reported
  void (*of_replicas)(prometheus::MetricFamily&, const ReplicaFigures&) = nullptr;  // of each replica with metrics of its own
  void (*of_process)(prometheus::MetricFamily&, const ProcessFigures&) = nullptr;
  void (*of_totals)(prometheus::MetricFamily&, const Totals&) = nullptr;

  prometheus::MetricFamily without_samples() const;
};

/// In the order in which they are shown. Each family is shown once, also without samples.
std::span<const Family> families();

}  // namespace router::metrics

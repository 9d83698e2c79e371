#pragma once

#include <prometheus/metric_family.h>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "router/metrics/process_figures.h"
#include "router/metrics/registry.h"

namespace router::metrics {

/// The text of one scrape, made piece by piece: family by family, as the format asks, and within a family some deployments at a
/// time. What the process tells is asked once, when this is made; cells are read when their piece is. Between two pieces
/// deployments may come and go: it goes on behind the last one that it has shown, so a new deployment may be missing from the
/// families before. Control thread; the registry outlives it.
class Scrape {
 public:
  /// A piece ends with the first part that reaches it. Making one takes a millisecond at most.
  static constexpr std::size_t kPieceBytes = 32 * 1024;

  explicit Scrape(Registry& registry);

  /// Appends the next piece to `text`; false: it was the last one. Throws std::bad_alloc; then the scrape is over.
  bool next(std::string& text);
  /// Every family, whole. Instead of `next`.
  std::vector<prometheus::MetricFamily> all();

 private:
  static constexpr std::size_t kDeploymentsPerPart = 8;

  void begin_family();
  void add_part(std::string& text);
  bool fill(prometheus::MetricFamily& family, std::size_t deployments);
  bool fill_from_metrics(prometheus::MetricFamily& family, std::size_t deployments);
  bool fill_from_figures(prometheus::MetricFamily& family, std::size_t deployments);
  bool fill_from_replicas(prometheus::MetricFamily& family, std::size_t replicas);
  void ask_process();
  void update_replicas();

  Registry& registry_;
  std::optional<ProcessFigures> process_;
  std::vector<DeploymentFigures> removed_;  // not configured any more: their outages, as last told
  std::vector<ReplicaFigures> replicas_;    // that have figures of their own
  std::optional<std::size_t> left_out_;     // replicas that have none; nothing: it is switched off
  std::size_t family_ = 0;                  // of families(): the one that is being shown
  std::string header_;                      // its HELP and TYPE; empty: not shown yet
  std::optional<Registry::Key> shown_;      // the last one of the deployments with cells
  std::size_t figures_shown_ = 0;           // of the configured and the removed ones, or of the replicas
};

}  // namespace router::metrics

#pragma once

#include <prometheus/metric_family.h>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "router/metrics/process_figures.h"
#include "router/metrics/registry.h"

namespace router::metrics {

/// The text of one scrape, made piece by piece: family by family, as the format requires, and within a family some deployments
/// at a time. The constructor reads the process' figures once; cells are read when their piece is made. Deployments may change
/// between two pieces. The scrape continues after the last one that it has shown, so a new deployment may be missing from
/// earlier families. Control thread; the registry outlives it.
class Scrape {
 public:
  /// A piece ends with the first part that reaches this size. Making one takes a millisecond at most.
  static constexpr std::size_t kPieceBytes = 32 * 1024;

  explicit Scrape(Registry& registry);

  /// Appends the next piece to `text`, and returns false with the last one. Throws std::bad_alloc; the scrape is then over.
  bool next(std::string& text);
  /// Every family, complete. To be called instead of `next`.
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
  std::vector<DeploymentFigures> removed_;  // no longer configured: their outages, as last reported
  std::vector<ReplicaFigures> replicas_;    // with metrics of their own
  std::optional<std::size_t> left_out_;     // replicas without; nothing: switched off
  std::size_t family_ = 0;                  // index in families(): the current one
  std::string header_;                      // its HELP and TYPE; empty: not shown yet
  std::optional<Registry::Key> shown_;      // the last deployment of which cells were shown
  std::size_t figures_shown_ = 0;           // number of configured and removed deployments, or of replicas
};

}  // namespace router::metrics

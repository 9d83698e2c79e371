#pragma once

#include <prometheus/metric_family.h>

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "router/base/time.h"
#include "router/metrics/cells.h"
#include "router/metrics/process_figures.h"
#include "router/metrics/replica_book.h"

namespace router::metrics {

/// What was asked of a deployment, for the autoscaler: sums over all shards, since the metrics were made.
struct Offered {
  std::uint64_t arrivals = 0;      // each authenticated request once, at the router where its client is
  std::uint64_t refusals = 0;      // for want of capacity, where the refusal was made
  std::uint64_t told_seconds = 0;  // of Retry-After, the sum over those refusals

  Offered operator-(const Offered& before) const {
    return {arrivals - before.arrivals, refusals - before.refusals, told_seconds - before.told_seconds};
  }
  bool operator==(const Offered&) const = default;
};

/// The cells of one (endpoint, deployment), one set for each shard. Shared by successive routing tables.
class DeploymentMetrics {
 public:
  DeploymentMetrics(std::string endpoint, std::string deployment, std::size_t shards, std::shared_ptr<const Bounds> bounds);

  /// Written by that shard only.
  DeploymentCells& on(std::size_t shard) { return cells_[shard]; }

  const std::string& endpoint() const { return endpoint_; }
  const std::string& deployment() const { return deployment_; }
  const std::vector<DeploymentCells>& cells() const { return cells_; }
  const Bounds& bounds() const { return *bounds_; }
  /// Sum over all shards; any thread.
  std::uint64_t aborts_unnoticed() const;
  /// Any thread.
  Offered offered() const;

 private:
  const std::string endpoint_;
  const std::string deployment_;
  const std::shared_ptr<const Bounds> bounds_;
  std::vector<DeploymentCells> cells_;
};

class Scrape;

/// All metrics, and their exposition. Control thread; the cells that it returns belong to the shards.
class Registry {
 public:
  /// How long metrics stay exposed after their deployment was removed, so that the last scrapes still see them (contract,
  /// section 10).
  static constexpr std::chrono::minutes kRemovedKept{10};

  explicit Registry(std::size_t shards, const Clock& clock = kSteadyClock, const Bounds& bounds = kDefaultBounds)
      : clock_(clock), bounds_(std::make_shared<const Bounds>(bounds)), shards_(shards) {}

  /// The metrics of a deployment: the same object while anything holds it, and for kRemovedKept afterwards. Names are compared
  /// without case; the labels are spelled as in the first call.
  std::shared_ptr<DeploymentMetrics> deployment(std::string_view endpoint, std::string_view deployment);
  ShardCells& shard(std::size_t index) { return shards_[index]; }
  /// Counts a changed configuration that was read, and accepted or refused.
  void configuration_reloaded(bool accepted) {
    (accepted ? reloads_accepted_ : reloads_refused_).add();
    newest_refused_ = !accepted;
  }
  /// Sets the function from which each scrape gets the figures of the process.
  void set_process_figures(std::function<ProcessFigures()> source) { process_figures_ = std::move(source); }

  /// What /metrics shows, in pieces of the Prometheus text format, version 0.0.4 (scrape.h).
  std::unique_ptr<Scrape> scrape();
  /// Everything at once, without pauses: 10 MB for a thousand deployments.
  std::vector<prometheus::MetricFamily> collect();
  std::string render();
  static constexpr const char* kContentType = "text/plain; version=0.0.4; charset=utf-8";

 private:
  using Key = std::pair<std::string, std::string>;  // endpoint, deployment, lower case
  struct Entry {
    std::shared_ptr<DeploymentMetrics> metrics;
    std::optional<Outages> outages;           // as last reported
    std::optional<TimePoint> unused_since{};  // since when nothing else holds the metrics
  };
  static Key key(std::string_view endpoint, std::string_view deployment);
  friend class Scrape;
  void forget_removed();

  static const SteadyClock kSteadyClock;

  const Clock& clock_;
  const std::shared_ptr<const Bounds> bounds_;  // of all histograms
  std::vector<ShardCells> shards_;
  std::map<Key, Entry> entries_;
  std::size_t forget_at_ = 64;  // when this many entries are known, removed ones are erased even if nobody scrapes
  std::function<ProcessFigures()> process_figures_;
  ReplicaBook replicas_;
  Cell reloads_accepted_;
  Cell reloads_refused_;
  bool newest_refused_ = false;
};

}  // namespace router::metrics

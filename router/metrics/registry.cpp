#include "router/metrics/registry.h"

#include <prometheus/text_serializer.h>

#include <algorithm>

#include "router/base/text.h"
#include "router/metrics/scrape.h"

namespace router::metrics {

const SteadyClock Registry::kSteadyClock;

DeploymentMetrics::DeploymentMetrics(std::string endpoint, std::string deployment, std::size_t shards,
                                     std::shared_ptr<const Bounds> bounds)
    : endpoint_(std::move(endpoint)), deployment_(std::move(deployment)), bounds_(std::move(bounds)), cells_(shards) {
  for (DeploymentCells& cells : cells_) cells.use(*bounds_);
}

std::uint64_t DeploymentMetrics::aborts_unnoticed() const {
  std::uint64_t sum = 0;
  for (const DeploymentCells& cells : cells_) sum += cells.aborts_unnoticed();
  return sum;
}

Offered DeploymentMetrics::offered() const {
  Offered sum;
  for (const DeploymentCells& cells : cells_) {
    sum.arrivals += cells.arrivals();
    sum.refusals += cells.refusals();
    sum.told_seconds += cells.told_seconds();
  }
  return sum;
}

Registry::Key Registry::key(std::string_view endpoint, std::string_view deployment) {
  return {lower_case(endpoint), lower_case(deployment)};
}

std::shared_ptr<DeploymentMetrics> Registry::deployment(std::string_view endpoint, std::string_view deployment) {
  const Key name = key(endpoint, deployment);
  if (const auto known = entries_.find(name); known != entries_.end()) {
    known->second.unused_since.reset();
    return known->second.metrics;
  }
  if (entries_.size() >= forget_at_) {
    // Without scrapes nothing else erases removed entries. Doubling the limit keeps the cost of the search small.
    forget_removed();
    forget_at_ = std::max<std::size_t>(64, 2 * entries_.size());
  }
  auto metrics = std::make_shared<DeploymentMetrics>(std::string(endpoint), std::string(deployment), shards_.size(), bounds_);
  entries_[name].metrics = metrics;
  return metrics;
}

void Registry::forget_removed() {
  const TimePoint now = clock_.now();
  for (auto each = entries_.begin(); each != entries_.end();) {
    Entry& entry = each->second;
    if (entry.metrics.use_count() > 1) {  // only this class adds holders: the count cannot grow meanwhile
      entry.unused_since.reset();
    } else if (!entry.unused_since) {
      entry.unused_since = now;
    }
    const bool over = entry.unused_since && now - *entry.unused_since >= kRemovedKept;
    each = over ? entries_.erase(each) : std::next(each);
  }
}

std::unique_ptr<Scrape> Registry::scrape() {
  forget_removed();
  return std::make_unique<Scrape>(*this);
}

std::vector<prometheus::MetricFamily> Registry::collect() { return scrape()->all(); }

std::string Registry::render() { return prometheus::TextSerializer().Serialize(collect()); }

}  // namespace router::metrics

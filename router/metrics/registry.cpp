#include "router/metrics/registry.h"

#include <prometheus/text_serializer.h>

#include <algorithm>
#include <set>

#include "router/base/text.h"
#include "router/metrics/exposition.h"

namespace router::metrics {

const SteadyClock Registry::kSteadyClock;

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
    // Without scrapes nobody else would notice what is gone. Doubling keeps the cost of looking small.
    forget_removed();
    forget_at_ = std::max<std::size_t>(64, 2 * entries_.size());
  }
  auto metrics = std::make_shared<DeploymentMetrics>(std::string(endpoint), std::string(deployment), shards_.size());
  entries_[name].metrics = metrics;
  return metrics;
}

void Registry::forget_removed() {
  const TimePoint now = clock_.now();
  for (auto each = entries_.begin(); each != entries_.end();) {
    Entry& entry = each->second;
    if (entry.metrics.use_count() > 1) {  // new holders come from here alone: "only us" cannot change behind our back
      entry.unused_since.reset();
    } else if (!entry.unused_since) {
      entry.unused_since = now;
    }
    const bool over = entry.unused_since && now - *entry.unused_since >= kRemovedKept;
    each = over ? entries_.erase(each) : std::next(each);
  }
}

void Registry::add_process_figures(Exposition& exposition) {
  if (!process_figures_) return;
  const ProcessFigures figures = process_figures_();
  exposition.add(figures);
  std::set<Key> configured;
  for (const DeploymentFigures& each : figures.deployments) {
    Key name = key(each.endpoint, each.deployment);
    if (const auto known = entries_.find(name); known != entries_.end()) known->second.outages = each.outages;
    configured.insert(std::move(name));
  }
  for (const auto& [name, entry] : entries_) {
    if (!entry.outages || configured.contains(name)) continue;
    exposition.add_outages(entry.metrics->endpoint(), entry.metrics->deployment(), *entry.outages);
  }
}

std::vector<prometheus::MetricFamily> Registry::collect() {
  forget_removed();
  Exposition exposition;
  for (const auto& [name, entry] : entries_) exposition.add(*entry.metrics);
  add_process_figures(exposition);
  exposition.add(shards_);
  exposition.add_reloads(reloads_accepted_.value(), reloads_refused_.value(), newest_refused_);
  return std::move(exposition).families();
}

std::string Registry::render() { return prometheus::TextSerializer().Serialize(collect()); }

}  // namespace router::metrics

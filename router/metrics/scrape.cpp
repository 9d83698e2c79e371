#include "router/metrics/scrape.h"

#include <prometheus/text_serializer.h>

#include <limits>
#include <set>
#include <utility>

#include "router/metrics/exposition.h"

namespace router::metrics {

Scrape::Scrape(Registry& registry) : registry_(registry) { ask_process(); }

void Scrape::ask_process() {
  if (!registry_.process_figures_) return;
  process_ = registry_.process_figures_();
  std::set<Registry::Key> configured;
  for (const DeploymentFigures& each : process_->deployments) {
    Registry::Key name = Registry::key(each.endpoint, each.deployment);
    if (const auto known = registry_.entries_.find(name); known != registry_.entries_.end()) {
      known->second.outages = each.outages;
    }
    configured.insert(std::move(name));
  }
  for (const auto& [name, entry] : registry_.entries_) {
    if (!entry.outages || configured.contains(name)) continue;
    DeploymentFigures& gone = removed_.emplace_back();
    gone.endpoint = entry.metrics->endpoint();
    gone.deployment = entry.metrics->deployment();
    gone.outages = *entry.outages;
  }
  update_replicas();
}

void Scrape::update_replicas() {
  if (!process_->per_replica) return registry_.replicas_.clear();
  const PerReplica& told = *process_->per_replica;
  registry_.replicas_.update(told.present, told.max, registry_.clock_.now(), Registry::kRemovedKept);
  replicas_ = registry_.replicas_.shown();
  left_out_ = registry_.replicas_.left_out();
  process_->per_replica.reset();
}

bool Scrape::next(std::string& text) {
  const std::size_t end = text.size() + kPieceBytes;
  while (family_ < families().size() && text.size() < end) add_part(text);
  return family_ < families().size();
}

std::vector<prometheus::MetricFamily> Scrape::all() {
  std::vector<prometheus::MetricFamily> whole;
  for (; family_ < families().size(); ++family_) {
    whole.push_back(families()[family_].without_samples());
    begin_family();
    fill(whole.back(), std::numeric_limits<std::size_t>::max());
  }
  return whole;
}

void Scrape::begin_family() {
  shown_.reset();
  figures_shown_ = 0;
}

/// The serializer writes whole families: only the first part of a family keeps what comes before the samples.
void Scrape::add_part(std::string& text) {
  const prometheus::TextSerializer serializer;
  std::vector<prometheus::MetricFamily> part{families()[family_].without_samples()};
  if (header_.empty()) {
    begin_family();
    header_ = serializer.Serialize(part);
    text += header_;
  }
  const bool has_more = fill(part.front(), kDeploymentsPerPart);
  if (!part.front().metric.empty()) text.append(serializer.Serialize(part), header_.size());
  if (has_more) return;
  header_.clear();
  ++family_;
}

/// Adds the samples of so many deployments, or all samples of the process. Returns whether there are more.
bool Scrape::fill(prometheus::MetricFamily& family, std::size_t deployments) {
  const Family& shown = families()[family_];
  if (shown.of_metrics != nullptr) return fill_from_metrics(family, deployments);
  if (shown.of_figures != nullptr) return fill_from_figures(family, deployments);
  if (shown.of_replicas != nullptr) return fill_from_replicas(family, deployments);
  if (shown.of_process != nullptr && process_) shown.of_process(family, *process_);
  if (shown.of_totals != nullptr) {
    shown.of_totals(family, Totals{.shards = registry_.shards_,
                                   .reloads_accepted = registry_.reloads_accepted_.value(),
                                   .reloads_refused = registry_.reloads_refused_.value(),
                                   .newest_refused = registry_.newest_refused_,
                                   .replicas_left_out = left_out_});
  }
  return false;
}

bool Scrape::fill_from_metrics(prometheus::MetricFamily& family, std::size_t deployments) {
  const auto& entries = registry_.entries_;
  auto each = shown_ ? entries.upper_bound(*shown_) : entries.begin();
  auto last = entries.end();
  for (; each != entries.end() && deployments > 0; --deployments) {
    families()[family_].of_metrics(family, *each->second.metrics);
    last = each++;
  }
  if (each == entries.end()) return false;
  shown_ = last->first;
  return true;
}

bool Scrape::fill_from_figures(prometheus::MetricFamily& family, std::size_t deployments) {
  if (!process_) return false;
  const Family& shown = families()[family_];
  const std::vector<DeploymentFigures>& configured = process_->deployments;
  const std::size_t end = configured.size() + (shown.of_removed ? removed_.size() : 0);
  for (; figures_shown_ < end && deployments > 0; ++figures_shown_, --deployments) {
    const bool gone = figures_shown_ >= configured.size();
    shown.of_figures(family, gone ? removed_[figures_shown_ - configured.size()] : configured[figures_shown_]);
  }
  return figures_shown_ < end;
}

bool Scrape::fill_from_replicas(prometheus::MetricFamily& family, std::size_t replicas) {
  for (; figures_shown_ < replicas_.size() && replicas > 0; ++figures_shown_, --replicas) {
    families()[family_].of_replicas(family, replicas_[figures_shown_]);
  }
  return figures_shown_ < replicas_.size();
}

}  // namespace router::metrics

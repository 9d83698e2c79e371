#include "router/metrics/replica_book.h"

#include <algorithm>
#include <utility>

namespace router::metrics {
namespace {

void add(ReplicaFigures& to, const ReplicaFigures& more) {
  to.slots_in_use += more.slots_in_use;
  to.requests += more.requests;
  to.answers += more.answers;
  to.first_byte_nanoseconds += more.first_byte_nanoseconds;
}

}  // namespace

void ReplicaBook::update(const std::vector<ReplicaFigures>& present, std::size_t max, TimePoint now, Duration kept) {
  std::map<Key, ReplicaFigures> found;
  for (const ReplicaFigures& each : present) {
    const auto [place, is_new] = found.try_emplace({each.endpoint, each.deployment, each.replica}, each);
    if (!is_new) add(place->second, each);
  }
  for (auto& [key, entry] : entries_) {
    const auto there = found.find(key);
    if (there != found.end()) {
      entry.figures = std::move(there->second);
      entry.gone_since.reset();
      found.erase(there);
    } else {
      entry.figures.slots_in_use = 0;
      if (!entry.gone_since) entry.gone_since = now;
    }
  }
  forget(now, kept);
  make_room(max, found.size());
  left_out_ = 0;
  while (entries_.size() > max) {  // `max` has become smaller
    entries_.erase(std::prev(entries_.end()));
    ++left_out_;
  }
  for (auto& [key, figures] : found) {
    if (entries_.size() < max) {
      entries_[key].figures = std::move(figures);
    } else {
      ++left_out_;
    }
  }
}

/// Erases replicas that are gone, the longest gone first, until `more` new ones have room or none that is gone is left.
void ReplicaBook::make_room(std::size_t max, std::size_t more) {
  if (entries_.size() + more <= max) return;
  std::vector<std::pair<TimePoint, std::map<Key, Entry>::iterator>> gone;
  for (auto each = entries_.begin(); each != entries_.end(); ++each) {
    if (each->second.gone_since) gone.emplace_back(*each->second.gone_since, each);
  }
  std::stable_sort(gone.begin(), gone.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  const std::size_t surplus = entries_.size() + more - max;
  for (std::size_t i = 0; i < std::min(surplus, gone.size()); ++i) entries_.erase(gone[i].second);
}

void ReplicaBook::forget(TimePoint now, Duration kept) {
  std::erase_if(entries_, [&](const auto& each) { return each.second.gone_since && now - *each.second.gone_since >= kept; });
}

std::vector<ReplicaFigures> ReplicaBook::shown() const {
  std::vector<ReplicaFigures> all;
  all.reserve(entries_.size());
  for (const auto& [key, entry] : entries_) all.push_back(entry.figures);
  return all;
}

}  // namespace router::metrics

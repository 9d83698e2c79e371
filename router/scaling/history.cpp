#include "router/scaling/history.h"

#include <algorithm>
#include <vector>

namespace router::scaling {
namespace {
constexpr std::size_t kStartsKept = 8;
constexpr std::size_t kAskedMost = 256;  // further requests count with the last one
}  // namespace

int SlidingExtreme::add(TimePoint now, int value, Seconds length) {
  while (!kept_.empty() && beats(value, kept_.back().value)) kept_.pop_back();
  kept_.push_back({now, value});
  while (Seconds(now - kept_.front().at) > longest_) kept_.pop_front();
  const auto lately = [&](const Kept& each) { return Seconds(now - each.at) <= length; };
  return std::find_if(kept_.begin(), kept_.end(), lately)->value;
}

void PodStarts::see(TimePoint now, int replicas, int ready, bool rollout) {
  if (seen_ && replicas > replicas_) {
    if (asked_.empty()) ready_most_ = ready;
    if (asked_.size() < kAskedMost) asked_.push_back({now, 0});
    asked_.back().count += replicas - replicas_;
  }
  if (ready > ready_most_) ready_more(now, ready - ready_most_, rollout);
  if (replicas < replicas_) ready_most_ = ready;
  // Replicas that are asked for no more, the youngest first.
  int missing = 0;
  for (const Asked& each : asked_) missing += each.count;
  for (int many = missing - std::max(0, replicas - ready); many > 0 && !asked_.empty();) {
    const int part = std::min(many, asked_.back().count);
    asked_.back().count -= part;
    many -= part;
    if (asked_.back().count == 0) asked_.pop_back();
  }
  seen_ = true;
  replicas_ = replicas;
}

void PodStarts::ready_more(TimePoint now, int count, bool rollout) {
  ready_most_ += count;
  while (count > 0 && !asked_.empty()) {
    if (!rollout) starts_.emplace_back(now - asked_.front().at);
    if (starts_.size() > kStartsKept) starts_.pop_front();
    if (--asked_.front().count == 0) asked_.pop_front();
    --count;
  }
}

Seconds PodStarts::median() const {
  if (starts_.empty()) return kPodStartAtFirst;
  std::vector<Seconds> sorted(starts_.begin(), starts_.end());
  std::sort(sorted.begin(), sorted.end());
  return sorted[(sorted.size() - 1) / 2];
}

Seconds PodStarts::asked_for(TimePoint now) const { return asked_.empty() ? Seconds(0) : Seconds(now - asked_.front().at); }

}  // namespace router::scaling

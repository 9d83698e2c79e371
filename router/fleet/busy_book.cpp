#include "router/fleet/busy_book.h"

#include <utility>

namespace router::fleet {

void BusyBook::tell(const std::string& member, BusyPods pods) {
  BusyPods& told = told_[member];
  add(pods);
  remove(told);
  told = std::move(pods);
  if (told.empty()) told_.erase(member);
}

void BusyBook::quarantine(const std::string& member, BootTime until) {
  const auto found = told_.find(member);
  if (found == told_.end()) return;
  gone_.emplace(until, std::move(found->second));
  told_.erase(found);
}

bool BusyBook::expire(BootTime now) {
  bool changed = false;
  for (; !gone_.empty() && gone_.begin()->first <= now; changed = true) {
    remove(gone_.begin()->second);
    gone_.erase(gone_.begin());
  }
  return changed;
}

std::uint64_t BusyBook::busy(std::string_view pod) const {
  const auto found = sums_.find(pod);
  return found == sums_.end() ? 0 : found->second;
}

std::uint64_t BusyBook::told_by(const std::string& member) const {
  const auto found = told_.find(member);
  std::uint64_t sum = 0;
  if (found != told_.end())
    for (const auto& [pod, connections] : found->second) sum += connections;
  return sum;
}

void BusyBook::add(const BusyPods& pods) {
  for (const auto& [pod, connections] : pods) {
    sums_[pod] += connections;
    total_ += connections;
  }
}

void BusyBook::remove(const BusyPods& pods) {
  for (const auto& [pod, connections] : pods) {
    const auto found = sums_.find(pod);
    if ((found->second -= connections) == 0) sums_.erase(found);
    total_ -= connections;
  }
}

}  // namespace router::fleet

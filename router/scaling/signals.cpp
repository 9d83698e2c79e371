#include "router/scaling/signals.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace router::scaling {
namespace {
constexpr int kSnapshotsPerLongest = 24;
constexpr double kMeanOver = 64;
constexpr double kKnownFrom = 16;

bool believable(const Signal& signal) {
  const Integrals& all = signal.since_start;
  for (const double value : {all.busy, all.waiting, all.held, all.told, signal.uptime.count()}) {
    if (!std::isfinite(value) || value < 0) return false;
  }
  return true;
}

bool grows(const Integrals& from, const Integrals& to) {
  return from.busy <= to.busy && from.waiting <= to.waiting && from.held <= to.held && from.told <= to.told &&
         from.returns <= to.returns && from.arrivals <= to.arrivals && from.refusals <= to.refusals;
}

double between(double from, double to, double part) { return from + (to - from) * part; }
}  // namespace

void Signals::set_members(const std::set<std::string>& members) {
  std::erase_if(members_, [&](const auto& known) { return members.count(known.first) == 0; });
  for (const std::string& member : members) members_.try_emplace(member);
}

bool Signals::follows(const Member& member, const Signal& signal) {
  if (member.snapshots.empty() || member.incarnation != signal.incarnation) return true;
  const Snapshot& last = member.snapshots.back();
  return signal.uptime > last.uptime && grows(last.integrals, signal.since_start);
}

bool Signals::hear(const std::string& name, const Signal& signal, TimePoint now) {
  const auto found = members_.find(name);
  if (found == members_.end() || !believable(signal) || !follows(found->second, signal)) return false;
  Member& member = found->second;
  if (member.snapshots.empty() || member.incarnation != signal.incarnation) {
    member.snapshots.clear();
    member.incarnation = signal.incarnation;
    // The integrals of a process begin at 0. Its whole life is no mean of now unless it is short.
    if (signal.uptime <= longest_) member.snapshots.push_back({});
  }
  count_returns(member, signal.since_start);
  keep(member, {.uptime = signal.uptime, .integrals = signal.since_start});
  member.heard = now;
  member.waking = signal.waking;
  return true;
}

// Of a member that is heard for the first time, all of its life counts: a new leader then knows how long requests take.
void Signals::count_returns(const Member& member, const Integrals& to) {
  const Integrals from = member.snapshots.empty() ? Integrals{} : member.snapshots.back().integrals;
  returns_.held += to.held - from.held;
  returns_.count += to.returns - from.returns;
}

void Signals::keep(Member& member, const Snapshot& snapshot) const {
  std::deque<Snapshot>& kept = member.snapshots;
  const bool dense = kept.size() > 1 && snapshot.uptime - kept[kept.size() - 2].uptime < longest_ / kSnapshotsPerLongest;
  if (dense) kept.pop_back();
  kept.push_back(snapshot);
  while (kept.size() > 2 && kept[1].uptime <= snapshot.uptime - longest_) kept.pop_front();
}

Load Signals::load(Seconds over) const {
  Load load;
  for (const auto& [name, member] : members_) add(member, over, load);
  if (load.refusals > 0) load.told /= load.refusals;  // until here: seconds told in a second
  return load;
}

void Signals::add(const Member& member, Seconds over, Load& load) {
  load.waking += member.waking;
  const std::deque<Snapshot>& kept = member.snapshots;
  if (kept.size() < 2) return;
  const Snapshot& last = kept.back();
  const Seconds begin = last.uptime - over;
  // The first snapshot after `begin`; what was counted until `begin` lies on the line to it from the one before.
  const auto after = std::find_if(kept.begin() + 1, kept.end(), [&](const Snapshot& each) { return each.uptime > begin; });
  const Snapshot& next = after == kept.end() ? last : *after;
  const Snapshot& before = *(after - 1);
  const double part = std::max(0.0, (begin - before.uptime) / (next.uptime - before.uptime));
  const double seconds = (last.uptime - std::max(begin, before.uptime)).count();
  const auto rate = [&](auto field) {
    const auto at = [&](const Snapshot& each) { return static_cast<double>(each.integrals.*field); };
    return (at(last) - between(at(before), at(next), part)) / seconds;
  };
  load.busy += rate(&Integrals::busy);
  load.waiting += rate(&Integrals::waiting);
  load.arrivals += rate(&Integrals::arrivals);
  load.refusals += rate(&Integrals::refusals);
  load.told += Seconds(rate(&Integrals::told));
}

bool Signals::complete(TimePoint now, Seconds within) const {
  return std::all_of(members_.begin(), members_.end(), [&](const auto& each) {
    return each.second.snapshots.size() > 1 && Seconds(now - each.second.heard) <= within;
  });
}

Signals::Returns Signals::take_returns() { return std::exchange(returns_, {}); }

void MeanHeld::add(const Signals::Returns& returns) {
  if (returns.count == 0) return;
  const auto count = static_cast<double>(returns.count);
  count_ = std::min(count_ + count, kMeanOver);
  mean_ += (Seconds(returns.held / count) - mean_) * std::min(1.0, count / count_);
}

Seconds MeanHeld::value() const { return count_ < kKnownFrom ? Seconds(0) : mean_; }

}  // namespace router::scaling

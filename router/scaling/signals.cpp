#include "router/scaling/signals.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace router::scaling {
namespace {
constexpr int kPointsPerLongest = 24;
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

void Course::add(Seconds uptime, const Integrals& integrals) {
  const std::size_t count = points_.size();
  const bool dense = count > 1 && uptime - points_[count - 2].uptime < longest_ / kPointsPerLongest;
  if (dense) points_.pop_back();
  points_.push_back({.uptime = uptime, .integrals = integrals});
  while (points_.size() > 2 && points_[1].uptime <= uptime - longest_) points_.pop_front();
}

void Course::add_means(Seconds over, Load& load) const {
  if (!has_rates()) return;
  const Point& end = points_.back();
  const Seconds begin = end.uptime - over;
  // The first point after `begin`; what was counted until `begin` lies on the line to it from the one before.
  const auto next =
      std::find_if(points_.begin() + 1, points_.end() - 1, [&](const Point& each) { return each.uptime > begin; });
  const Point& before = *(next - 1);
  const double part = std::max(0.0, (begin - before.uptime) / (next->uptime - before.uptime));
  const double seconds = (end.uptime - std::max(begin, before.uptime)).count();
  const auto rate = [&](auto field) {
    const auto at = [&](const Point& each) { return static_cast<double>(each.integrals.*field); };
    return (at(end) - between(at(before), at(*next), part)) / seconds;
  };
  load.busy += rate(&Integrals::busy);
  load.waiting += rate(&Integrals::waiting);
  load.arrivals += rate(&Integrals::arrivals);
  load.refusals += rate(&Integrals::refusals);
  load.told += Seconds(rate(&Integrals::told));
}

void Signals::set_members(const std::set<std::string>& members) {
  std::erase_if(members_, [&](const auto& known) { return members.count(known.first) == 0; });
  for (const std::string& member : members) {
    members_.try_emplace(member, Member{.fine = Course(longest_), .coarse = Course(kKeptMean)});
  }
}

bool Signals::follows(const Member& member, const Signal& signal) {
  if (member.fine.empty() || member.incarnation != signal.incarnation) return true;
  return signal.uptime > member.fine.uptime() && grows(member.fine.last(), signal.since_start);
}

bool Signals::hear(const std::string& name, const Signal& signal, TimePoint now) {
  const auto found = members_.find(name);
  if (found == members_.end() || !believable(signal) || !follows(found->second, signal)) return false;
  Member& member = found->second;
  if (member.fine.empty() || member.incarnation != signal.incarnation) begin(member, signal);
  count_returns(member, signal.since_start);
  member.fine.add(signal.uptime, signal.since_start);
  member.coarse.add(signal.uptime, signal.since_start);
  member.heard = now;
  member.waking = signal.waking;
  return true;
}

/// The integrals of a process begin at 0. Its whole life is no mean of now unless it is short.
void Signals::begin(Member& member, const Signal& signal) {
  member.incarnation = signal.incarnation;
  for (Course* const course : {&member.fine, &member.coarse}) {
    course->clear();
    if (signal.uptime > Seconds(0) && signal.uptime <= member.fine.longest()) course->add(Seconds(0), {});
  }
}

// Of a member that is heard for the first time, all of its life counts: a new leader then knows how long requests take.
void Signals::count_returns(const Member& member, const Integrals& to) {
  const Integrals from = member.fine.empty() ? Integrals{} : member.fine.last();
  returns_.held += to.held - from.held;
  returns_.count += to.returns - from.returns;
}

Load Signals::load(Seconds over) const {
  Load load;
  for (const auto& [name, member] : members_) {
    load.waking += member.waking;
    (over <= member.fine.longest() ? member.fine : member.coarse).add_means(over, load);
  }
  if (load.refusals > 0) load.told /= load.refusals;  // until here: seconds told in a second
  return load;
}

bool Signals::complete(TimePoint now, Seconds within) const {
  return std::all_of(members_.begin(), members_.end(), [&](const auto& each) {
    return each.second.fine.has_rates() && Seconds(now - each.second.heard) <= within;
  });
}

std::vector<std::string> Signals::silent(TimePoint now, Seconds within) const {
  std::vector<std::string> names;
  for (const auto& [name, member] : members_) {
    if (!member.fine.has_rates() || Seconds(now - member.heard) > within) names.push_back(name);
  }
  return names;
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

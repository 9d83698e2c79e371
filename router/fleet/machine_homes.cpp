#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>

#include "router/fleet/home.h"
#include "router/fleet/state.h"

namespace router::fleet {

void Machine::State::on(Served& served) {
  std::sort(served.namespaces.begin(), served.namespaces.end(),
            [](const ServedNamespace& a, const ServedNamespace& b) { return a.name < b.name; });
  std::vector<Home> homes;
  homes.reserve(served.namespaces.size());
  auto old = homes_.begin();
  for (ServedNamespace& one : served.namespaces) {
    while (old != homes_.end() && old->served.name < one.name) ++old;
    const bool same = old != homes_.end() && old->served.name == one.name;
    Home& home = homes.emplace_back();
    if (same) home = std::move(*old);
    home.served = std::move(one);
  }
  homes_ = std::move(homes);
  homes_dirty_ = publish_ = true;
}

void Machine::State::on(Applied& applied) {
  applied_version_ = std::max(applied_version_, applied.version);
  holdings_ = std::move(applied.holdings);
  holdings_empty_ = std::all_of(holdings_.begin(), holdings_.end(), [](const PodHolding& one) { return one.connections == 0; });
  update_own_busy(false);
}

bool Machine::State::candidate(const Member& member) const {
  // Who is empty says its bye: it is dead for the others, which do not ask it what runs.
  if (member.id == identity_.id) return serving() && !emptied_;
  if (dead(member.id)) return false;
  const Peer* const peer = find_peer(member.id);
  // A fixed peer that was never met may be home: it is asked before anybody takes its place.
  const bool is_met = peer != nullptr && !peer->hello().id.empty();
  if (fixed()) return is_met ? peer->serving : newcomers_.count(member.address) == 0;
  return member.state == MemberState::kServing;
}

bool Machine::State::has_resigned(const Member& member) const {
  if (member.id == identity_.id) return resigned_;
  const Peer* const peer = find_peer(member.id);
  return peer != nullptr && peer->resigned;
}

bool Machine::State::all_have_resigned() const {
  return std::none_of(roster_.members.begin(), roster_.members.end(),
                      [this](const Member& member) { return candidate(member) && !has_resigned(member); });
}

void Machine::State::find_home(Home& home, bool all_resigned) {
  const Member* best = nullptr;
  std::uint64_t best_weight = 0;
  for (const Member& member : roster_.members) {
    if (!candidate(member) || (!all_resigned && has_resigned(member))) continue;
    const std::uint64_t weight = home_weight(fixed() ? member.address : member.id, home.served.name);
    if (best != nullptr && (weight < best_weight || (weight == best_weight && member.id < best->id))) continue;
    best = &member;
    best_weight = weight;
  }
  const bool here = best != nullptr && best->id == identity_.id;
  if (home.here && !here) lost_version_ = assignment_.version + 1;
  home.ready = home.ready && here;
  home.here = here;
  home.where = best == nullptr || here ? std::string() : best->id;
}

void Machine::State::find_homes() {
  homes_dirty_ = false;
  publish_ = true;
  const std::uint64_t lost = lost_version_;
  const bool all_resigned = all_have_resigned();
  for (Home& home : homes_) find_home(home, all_resigned);
  if (resigned_ && lost_version_ == 0) lost_version_ = assignment_.version + 1;
  if (lost_version_ != lost || retell_) update_own_busy(true);
  retell_ = false;
}

bool Machine::State::reports_complete() const {
  if (!rules().reports) return true;
  return std::all_of(roster_.members.begin(), roster_.members.end(), [this](const Member& member) {
    if (member.id == identity_.id || dead(member.id) || newcomers_.count(member.address) > 0) return true;
    const Peer* const peer = find_peer(member.id);
    return peer != nullptr && peer->report_serial == serial_ && (!fixed() || peer->sees_me);
  });
}

/// Beside a Lease that was lost or restored old, others may have begun another one, of which this member's roster knows
/// nothing. While it was covered they could not serve; now it has no home any more that it could simply go on with.
void Machine::State::lose_homes() {
  if (fixed() || !rules().stale_restarts || !stale() || now_ < coverage_.until()) return;
  for (Home& home : homes_) {
    publish_ = publish_ || home.ready;
    home.ready = false;
  }
  wait_until_ = std::max(wait_until_, now_ + timing().takeover_wait());
}

void Machine::State::take_over() {
  if (now_ < wait_until_) return;
  const bool any = std::any_of(homes_.begin(), homes_.end(), [](const Home& home) { return home.here && !home.ready; });
  if (!any || !reports_complete()) return;
  for (Home& home : homes_) home.ready = home.here;
  publish_ = true;
}

void Machine::State::update_own_busy(bool again) {
  const bool known = applied_version_ >= lost_version_ || !rules().applied;
  BusyPods busy;
  for (const PodHolding& one : holdings_) {
    const auto home = std::lower_bound(homes_.begin(), homes_.end(), one.name_space,
                                       [](const Home& a, const std::string& name) { return a.served.name < name; });
    const bool here = home != homes_.end() && home->served.name == one.name_space && home->here;
    if (!here && one.connections > 0) busy.emplace_back(one.pod, one.connections);
  }
  std::sort(busy.begin(), busy.end());
  std::string text = busy != own_busy_ || own_busy_text_.empty() ? encode_busy(busy) : own_busy_text_;
  const bool fits = busy.size() <= kBusyPodsMax && text.size() <= kBusyTextMax;
  if (!fits && own_busy_known_) log("fleet: too many pods are busy to tell; nobody takes them over until fewer are");
  if (!again && own_busy_known_ == (known && fits) && busy == own_busy_) return;
  // Nothing below throws: a revision must never name other numbers than those that are told with it.
  if (known && fits && (again || !own_busy_known_ || busy != own_busy_)) ++own_revision_;
  own_busy_known_ = known && fits;
  own_busy_ = std::move(busy);
  own_busy_text_ = std::move(text);
  urgent_ = true;
}

bool Machine::State::idle() const {
  const bool here = std::any_of(homes_.begin(), homes_.end(), [](const Home& home) { return home.here; });
  return holdings_empty_ && applied_version_ >= lost_version_ && !here;
}

bool Machine::State::limited_idle() const {
  if (applied_version_ < lost_version_) return false;
  return std::all_of(holdings_.begin(), holdings_.end(), [this](const PodHolding& one) {
    return one.connections == 0 || std::any_of(homes_.begin(), homes_.end(), [&one](const Home& home) {
             return home.served.name == one.name_space &&
                    std::any_of(home.served.pods.begin(), home.served.pods.end(),
                                [&one](const ServedPod& pod) { return pod.id == one.pod && pod.slots == 0; });
           });
  });
}

void Machine::State::publish() {
  publish_ = false;
  Assignment next{.version = assignment_.version + 1, .namespaces = {}, .pods = {}};
  next.namespaces.reserve(homes_.size());
  for (const Home& home : homes_) {
    next.namespaces.push_back({.name = home.served.name, .here = home.here, .home = home.where});
    for (const ServedPod& pod : home.served.pods) {
      if (!home.here || pod.slots == 0) continue;
      const std::uint64_t busy = rules().count_busy ? book_.busy(pod.id) : 0;
      const bool free = home.ready && busy < pod.slots;
      next.pods.push_back({.pod = pod.id, .slots = free ? pod.slots - static_cast<std::uint32_t>(busy) : 0});
    }
  }
  if (next.namespaces == assignment_.namespaces && next.pods == assignment_.pods && lost_version_ <= assignment_.version)
    return;
  assignment_ = std::move(next);
}

}  // namespace router::fleet

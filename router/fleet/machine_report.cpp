#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <algorithm>
#include <chrono>

#include "router/fleet/state.h"

namespace router::fleet {

std::vector<std::string> Machine::State::unreachable() const {
  std::vector<std::string> addresses;
  for (const Member& member : roster_.members) {
    if (member.id == identity_.id || dead(member.id)) continue;
    const Peer* const peer = find_peer(member.id);
    const bool heard = peer != nullptr && peer->newest() != 0 && silence_of(member.id) < timing().silence;
    if (!heard) addresses.push_back(member.address);
  }
  return addresses;
}

std::string Machine::State::state_name() const {
  if (left_) return "left";
  if (removed_) return "removed";
  if (fixed()) return fixed_serving_ ? "serving" : "joining";
  const Member* const own = self();
  return own == nullptr ? "new" : std::string(name_of(own->state));
}

std::string Machine::State::why_not_member() const {
  if (!lease_.seen) return "the Lease of the fleet was not read yet: the API server does not answer";
  if (lease_.present && !lease_.roster) return "the Lease of the fleet has a roster that cannot be read";
  if (roster_.epoch.number == 0) return "waits for the Lease of the fleet to be created";
  if (roster_.members.size() >= kMembersMax) return absl::StrCat("the fleet has ", kMembersMax, " members already");
  for (const Member& member : roster_.members)
    if (!dead(member.id) && !overlap(member.protocols, options_.protocols))
      return absl::StrCat("speaks versions ", options_.protocols.min, " to ", options_.protocols.max,
                          " of the fleet's protocol, ", member.id, " ", member.protocols.min, " to ", member.protocols.max);
  if (!confirmed_) return "reaches no majority of the fleet";
  return "is about to join the fleet";
}

std::string Machine::State::why_not_fixed() const {
  for (const auto& [address, text] : strangers_)
    if (listed(address)) return text;
  for (const Member& member : roster_.members) {
    const Peer* const peer = find_peer(member.id);
    if (member.id == identity_.id || dead(member.id) || peer == nullptr || peer->newest() == 0 || peer->lists_me) continue;
    return absl::StrCat("is not in the list fleet.peers of ", member.address, ", and maybe others");
  }
  for (const Member& member : roster_.members) {
    const Peer* const peer = find_peer(member.id);
    if (member.id == identity_.id || dead(member.id) || peer == nullptr || peer->newest() == 0) continue;
    if (listed(member.address) && !same_list(*peer))
      return absl::StrCat("waits until ", member.address,
                          " has the same list fleet.peers, and what was taken out of its list has ended there");
  }
  if (now_ < wait_until_ && unreachable().empty()) {
    const auto left = std::chrono::ceil<std::chrono::seconds>(wait_until_ - now_);
    return absl::StrCat("waits another ", left.count(), " s: a pod may still run what the process before this one began");
  }
  return "has not met every peer of fleet.peers yet; POST /fleet/forget takes out one that is off for good";
}

std::string Machine::State::why_not_ready() const {
  if (draining_) return "drains";
  if (declared_dead_) return "the fleet holds this process for dead";
  if (removed_) return "was taken out of the fleet and comes back when nothing of it runs";
  if (fixed()) {
    if (self() == nullptr && rebirths_ > 0) return "the fleet holds this process for dead: restart it";
    if (self() == nullptr) return "fleet.peers lacks the address of fleet.advertise";
    return fixed_serving_ ? "" : why_not_fixed();
  }
  if (self() == nullptr) return why_not_member();
  const bool covered = now_ < coverage_.until();
  if (stale() && !covered) return "the Lease of the fleet is older than its roster; POST /fleet/forget is the way out";
  if (self()->state == MemberState::kJoining) return "joins the fleet";
  if (covered) return "";
  if (remade())
    return "the Lease of the fleet was made again, and no majority of the fleet answers; POST /fleet/forget is the way out";
  return "no majority of the fleet answers, nor does the API server";
}

Report Machine::State::report(BootTime now) const {
  Report report{.ready = false,
                .reason = why_not_ready(),
                .unreachable = unreachable(),
                .epoch = roster_.epoch,
                .own_id = identity_.id,
                .state = state_name(),
                .members = {},
                .covered_until = covered_until()};
  report.ready = report.reason.empty() && now < report.covered_until;
  if (!report.ready && !report.unreachable.empty())
    absl::StrAppend(&report.reason, "; does not reach ", absl::StrJoin(report.unreachable, ", "));
  for (const Member& member : roster_.members) {
    const Peer* const peer = find_peer(member.id);
    const bool own = member.id == identity_.id;
    report.members.push_back({.member = member,
                              .self = own,
                              .linked = peer != nullptr && peer->linked(),
                              .proven_dead = dead(member.id),
                              .silent = own ? BootDuration::zero() : silence_of(member.id),
                              .busy = book_.told_by(member.id)});
  }
  for (const Home& home : homes_) {
    if (!home.here) continue;
    ++report.homes;
    if (home.ready) continue;
    ++report.taking;
    for (const ServedPod& pod : home.served.pods) report.slots_waiting += pod.slots;
  }
  report.slots_busy_elsewhere = book_.total();
  return report;
}

}  // namespace router::fleet

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <algorithm>

#include "router/fleet/home.h"
#include "router/fleet/state.h"

namespace router::fleet {

void Machine::State::fixed_start() {
  roster_.epoch = {.number = 1, .writer = "fixed"};
  for (const std::string& address : options_.fixed_peers) fixed_add(address);
  // The process before this one at the same address has ended: its exchanges are over soon.
  wait_until_ = now_ + timing().abort_wait;
}

void Machine::State::fixed_hello(const Hello& hello) {
  for (Member& member : roster_.members) {
    if (member.address != hello.address || member.id == hello.id || member.id == identity_.id) continue;
    const bool known = member.id != member.address;
    // Times of starting order processes that may both run. The next one of a dead process may have a clock that is behind.
    if (known && dead(hello.id)) return;
    const bool both = known && !dead(member.id);
    if (both)
      log(absl::StrCat("fleet: ", hello.address, " is the address of ", member.id, " and of ", hello.id,
                       "; the one that started later counts. If both run, one has the fleet.advertise of the other"));
    if (both && member.started >= hello.started) return;
    const std::string before = member.id;
    if (known) add_death(before, Proof::kLaterProcess);
    member.id = hello.id;
    member.started = hello.started;
    member.protocols = hello.protocols;
    peer_of(hello.id);
    forget_peer(before);
    homes_dirty_ = dial_ = true;
    return;
  }
}

/// The next process of an address may have been met before the end of the one before was known.
void Machine::State::fixed_replace_dead() {
  std::vector<Hello> next;
  for (const auto& [link, id] : links_) {
    const Peer* const peer = find_peer(id);
    if (peer == nullptr || dead(id) || roster_.find(id) != nullptr) continue;
    const std::string& address = peer->hello().address;
    const bool is_of_dead = std::any_of(roster_.members.begin(), roster_.members.end(),
                                        [&](const Member& member) { return member.address == address && dead(member.id); });
    if (is_of_dead) next.push_back(peer->hello());
  }
  for (const Hello& hello : next) fixed_hello(hello);
}

bool Machine::State::listed(const std::string& address) const {
  const std::vector<std::string>& list = options_.fixed_peers;
  return std::find(list.begin(), list.end(), address) != list.end();
}

/// A number for the list, and for the members beside it that have not left yet. It is never 0, and JSON can carry it.
std::uint64_t Machine::State::name_of_list(bool with_others) const {
  std::set<std::string> names(options_.fixed_peers.begin(), options_.fixed_peers.end());
  for (const Member& member : roster_.members)
    if (with_others && member.id != identity_.id && !listed(member.address)) names.insert(absl::StrCat("-", member.address));
  return home_weight(absl::StrJoin(names, "\n"), "list") / 2 | 1;
}

/// The peer knows of no member that this process does not know.
bool Machine::State::same_list(const Peer& peer) const {
  return !rules().same_list || peer.list == list_name_ || peer.list == told_list_name_;
}

/// A removed process has another id when it comes back; a link may still tell the old one.
bool Machine::State::is_own_id(const std::string& id) const {
  return id == base_id_ || absl::StartsWith(id, absl::StrCat(base_id_, "~"));
}

/// Until a process at that address has said its id, the address stands for it. It may have a link already.
void Machine::State::fixed_add(const std::string& address) {
  if (roster_.members.size() >= kMembersMax) return;
  const bool own = address == identity_.address;
  Member member{.id = own ? identity_.id : address, .pod_uid = address, .address = address, .started = 0, .protocols = {}};
  member.started = own ? identity_.started : 0;
  member.state = MemberState::kServing;
  for (const auto& [link, id] : links_) {
    const Peer* const peer = find_peer(id);
    if (own || peer == nullptr || peer->hello().address != address || dead(id)) continue;
    if (peer->hello().started <= member.started) continue;
    member.id = id;
    member.started = peer->hello().started;
    member.protocols = peer->hello().protocols;
  }
  deaths_.erase(address);  // of a machine that was taken out before
  if (own) member.protocols = options_.protocols;
  if (!own) peer_of(member.id);
  roster_.members.push_back(std::move(member));
}

/// Who is added cannot be home yet: it needs this member's word for it (`Beat::sees_you`). So nobody waits for it. Who is taken
/// out, and can be reached, gives up its homes when it learns of it from the beats, and stays a member until nothing of it
/// runs. Who cannot be reached is off for good: that is what the operator says.
void Machine::State::on(const PeersChanged& changed) {
  if (!fixed()) return;
  options_.fixed_peers = changed.addresses;
  list_name_ = told_list_name_ = 0;
  fixed_take_out();
  fixed_add_listed();
  homes_dirty_ = urgent_ = dial_ = publish_ = true;
}

/// A list that is not whole in the roster has no name: there are too many members for it until some have left.
void Machine::State::fixed_add_listed() {
  for (const std::string& address : options_.fixed_peers) {
    const auto at = [&address](const Member& member) { return member.address == address; };
    const auto known = std::find_if(roster_.members.begin(), roster_.members.end(), at);
    if (known != roster_.members.end()) {
      known->state = MemberState::kServing;
      continue;
    }
    if (fixed_serving_) newcomers_.insert(address);
    fixed_add(address);
  }
  const bool whole = std::all_of(options_.fixed_peers.begin(), options_.fixed_peers.end(), [this](const std::string& address) {
    return std::any_of(roster_.members.begin(), roster_.members.end(),
                       [&address](const Member& member) { return member.address == address; });
  });
  if (!whole) return;
  told_list_name_ = name_of_list(true);
  list_name_ = name_of_list(false);
}

void Machine::State::fixed_take_out() {
  std::vector<std::string> lost;
  for (Member& member : roster_.members) {
    if (listed(member.address) || member.id == identity_.id) continue;
    member.state = MemberState::kLeaving;
    const Peer* const peer = find_peer(member.id);
    const bool heard = peer != nullptr && peer->newest() != 0 && silence_of(member.id) <= timing().silence;
    if (!heard) lost.push_back(member.id);
    newcomers_.erase(member.address);
  }
  for (const std::string& id : lost) add_death(id, Proof::kForgotten);
}

/// Who was taken out of the list, and has told that it is home of nothing and nothing runs, is no member any more. It has said
/// so in answer to a beat that told it of its removal, so that no older word of this process makes it serve again: it needs a
/// new one. That binds it if it has this process in its list, or keeps it as a member because this process serves. Two that
/// both serve no more, and have each other in no list, would both be free: then neither is dropped. Who has died is no member
/// once the others had the time to hear of it, and its pods the time to notice.
bool Machine::State::fixed_has_left(const Member& member) const {
  if (member.id == identity_.id || listed(member.address)) return false;
  const auto death = deaths_.find(member.id);
  if (death != deaths_.end()) return now_ >= death->second.learned + std::max(timing().silence, timing().abort_wait);
  const Peer* const peer = find_peer(member.id);
  if (peer == nullptr || peer->serving || peer->newest() == 0 || peer->report_serial != serial_) return false;
  const bool answered = peer->unlisted_from != 0 && peer->answers >= peer->unlisted_from;
  const bool bound = peer->lists_me || fixed_serving_;
  if ((rules().answered && !answered) || (rules().bound && !bound)) return false;
  return book_.told_by(member.id) == 0;
}

void Machine::State::fixed_drop() {
  std::erase_if(roster_.members, [this](const Member& member) {
    if (!fixed_has_left(member)) return false;
    log(absl::StrCat("fleet: ", member.id, " is no member any more"));
    deaths_.erase(member.id);
    forget_peer(member.id);
    list_name_ = told_list_name_ = 0;
    homes_dirty_ = urgent_ = dial_ = true;
    return true;
  });
}

void Machine::State::forget_peer(const std::string& id) {
  const auto found = peers_.find(id);
  if (found != peers_.end() && !found->second.linked()) peers_.erase(found);
}

bool Machine::State::fixed_met(const Member& member) const {
  const Peer* const peer = find_peer(member.id);
  return peer != nullptr && !peer->hello().id.empty() && peer->newest() != 0 && peer->lists_me &&
         silence_of(member.id) <= timing().silence;
}

/// Whether the member lets this process serve. A peer of the list has to have the same list. So of two processes with
/// different lists, which know nothing of each other, not both begin: a peer that is in both lists lets one of them serve, and
/// the other only after the first has left. That holds for the last word of a dead peer, too, but not for one that an operator
/// has forgotten.
bool Machine::State::fixed_agrees(const Member& member) const {
  const auto death = deaths_.find(member.id);
  if (death == deaths_.end()) {
    const bool met = fixed_met(member);
    return met && (!listed(member.address) || same_list(*find_peer(member.id)));
  }
  if (!listed(member.address) || death->second.proof == Proof::kForgotten || !rules().same_list_of_dead) return true;
  const Peer* const peer = find_peer(member.id);
  return peer != nullptr && same_list(*peer);
}

void Machine::State::fixed_settle() {
  if (!deaths_.empty()) fixed_replace_dead();
  fixed_drop();
  if (list_name_ == 0) fixed_add_listed();
  const auto all_others = [this](const auto& holds) {
    return std::all_of(roster_.members.begin(), roster_.members.end(),
                       [this, &holds](const Member& member) { return member.id == identity_.id || holds(member); });
  };
  if (fixed_serving_) {
    const auto lists_me = [this](const Member& member) {
      const Peer* const peer = find_peer(member.id);
      return dead(member.id) || newcomers_.count(member.address) > 0 || !listed(member.address) || peer == nullptr ||
             !peer->serving || peer->lists_me;
    };
    if (all_others(lists_me)) return;
    fixed_serving_ = false;
    newcomers_.clear();
    homes_dirty_ = urgent_ = true;
    log("fleet: a peer has taken this process out of its list; it is home of nothing any more");
    return;
  }
  if (declared_dead_ || draining_ || self() == nullptr || list_name_ == 0 || now_ < wait_until_) return;
  if (!all_others([this](const Member& member) { return fixed_agrees(member); })) return;
  fixed_serving_ = true;
  // What a peer has said of an earlier time of serving says nothing about this one.
  serving_number_ = last_number_ + 1;
  for (auto& [id, peer] : peers_) peer.sees_me = false;
  homes_dirty_ = urgent_ = true;
  log("fleet: all peers are met and have this list; this process may be home");
}

}  // namespace router::fleet

#include <absl/strings/str_cat.h>

#include "router/fleet/state.h"

namespace router::fleet {

void Machine::State::fixed_start() {
  roster_.epoch = {.number = 1, .writer = "fixed"};
  for (const std::string& address : options_.fixed_peers) {
    // Until a process at that address has said its id, the address stands for it.
    const bool own = address == identity_.address;
    Member member{.id = own ? identity_.id : address, .pod_uid = address, .address = address, .started = 0, .protocols = {}};
    member.started = own ? identity_.started : 0;
    member.state = MemberState::kServing;
    if (roster_.members.size() < kMembersMax) roster_.members.push_back(std::move(member));
  }
  for (const Member& member : roster_.members)
    if (member.id != identity_.id) peer_of(member.id);
  // The process before this one at the same address has ended: its exchanges are over soon.
  wait_until_ = now_ + timing().abort_wait;
}

void Machine::State::fixed_hello(const Hello& hello) {
  for (Member& member : roster_.members) {
    if (member.address != hello.address || member.id == hello.id || member.id == identity_.id) continue;
    const bool known = member.id != member.address;
    if (known && member.started >= hello.started) return;
    const std::string before = member.id;
    if (known) add_death(before, Proof::kLaterProcess);
    member.id = hello.id;
    member.started = hello.started;
    peer_of(hello.id);
    homes_dirty_ = dial_ = true;
    return;
  }
}

void Machine::State::fixed_settle() {
  if (declared_dead_ || fixed_serving_ || draining_ || self() == nullptr || now_ < wait_until_) return;
  for (const Member& member : roster_.members) {
    if (member.id == identity_.id || dead(member.id)) continue;
    const Peer* const peer = find_peer(member.id);
    if (peer == nullptr || peer->hello().id.empty() || silence_of(member.id) > timing().silence || peer->newest() == 0) return;
  }
  fixed_serving_ = true;
  homes_dirty_ = urgent_ = true;
  log("fleet: all peers are met; this process may be home");
}

}  // namespace router::fleet

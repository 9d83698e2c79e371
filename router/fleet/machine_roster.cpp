#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>

#include "router/fleet/state.h"

namespace router::fleet {

void Machine::State::adopt(const Roster& roster) {
  const bool next = roster.epoch.number == roster_.epoch.number + 1 && roster.mended != roster.epoch.number;
  std::vector<std::string> previous;
  for (const Member& member : roster_.members)
    if (next && member.state == MemberState::kServing) previous.push_back(member.id);
  Roster adopted = roster;
  // Nothing from here to `leave_behind` throws: a roster without the wait that follows from it must not be in force.
  const Roster old = std::exchange(roster_, std::move(adopted));
  const bool was_member = old.find(identity_.id) != nullptr;
  ++serial_;
  adopted_at_ = now_;
  confirmed_ = previous_left_ = false;
  previous_serving_ = std::move(previous);
  coverage_.begin_epoch();
  votes_.clear();
  homes_dirty_ = urgent_ = publish_ = dial_ = retell_ = true;
  wait_for_unproven(old);
  leave_behind(old);
  const Member* const own = self();
  if (own == nullptr && was_member && !removed_) {
    left_ = draining_;
    removed_ = !left_;
    log(left_ ? "fleet: left" : "fleet: this process was taken out of the fleet");
  }
  if (own != nullptr && joined_at_ == kLongAgo) joined_at_ = now_;
  find_later_processes();
  log(absl::StrCat("fleet: roster ", roster_.epoch.number, " of ", roster_.epoch.writer, " with ", roster_.members.size(),
                   " members"));
}

/// After the end of a member without proof only the time says when nothing of it runs (rule 10). Of the time before the first
/// roster nothing is known.
void Machine::State::wait_for_unproven(const Roster& old) {
  const bool unproven = old.epoch.number == 0 || roster_.unproven > old.epoch.number;
  if (rules().wait_unproven && unproven) wait_until_ = std::max(wait_until_, now_ + timing().takeover_wait());
  const bool gone = std::any_of(old.members.begin(), old.members.end(), [this](const Member& member) {
    return roster_.find(member.id) == nullptr && member.id != identity_.id && !has_said_bye(member.id);
  });
  if (rules().wait_proven && gone) wait_until_ = std::max(wait_until_, now_ + timing().abort_wait);
}

void Machine::State::leave_behind(const Roster& old) {
  const bool unproven = roster_.unproven > old.epoch.number;
  for (const Member& member : old.members) {
    if (roster_.find(member.id) != nullptr || member.id == identity_.id) continue;
    const BootTime until = now_ + (unproven ? timing().takeover_wait() : timing().abort_wait);
    book_.quarantine(member.id, rules().wait_unproven || !unproven ? until : now_);
    log(absl::StrCat("fleet: ", member.id, unproven ? " was taken out; its end is not proven" : " is gone"));
    const Peer* const peer = find_peer(member.id);
    if (peer != nullptr && !peer->linked()) peers_.erase(member.id);
  }
  for (const Member& member : roster_.members)
    if (member.id != identity_.id) peer_of(member.id);
}

void Machine::State::add_death(const std::string& id, Proof proof) {
  if (id == identity_.id) {
    if (declared_dead_ || said_bye_) return;  // after the bye nothing of it runs, and the others may say so
    fixed_serving_ = false;
    declared_dead_ = removed_ = true;  // an operator has said so, or a later process of this Pod runs
    coverage_.end();
    homes_dirty_ = true;
    log("fleet: the others hold this process for dead");
    return;
  }
  const bool member = roster_.find(id) != nullptr;
  if (dead(id)) return;
  if (deaths_.size() >= kDeathsMax) forget_deaths();
  if (!member && deaths_.size() >= kDeathsMax) return;
  deaths_[id] = {.proof = proof, .learned = now_};
  if (!member) return;
  const bool unproven = proof == Proof::kForgotten && !fixed();
  // Who has said its bye is in no pod's slots any more: as after a report of none, nobody has to wait for a pod.
  const bool bye = proof == Proof::kBye;
  const BootTime until = now_ + (unproven ? timing().takeover_wait() : bye ? BootDuration{} : timing().abort_wait);
  if (rules().wait_proven) wait_until_ = std::max(wait_until_, until);
  book_.quarantine(id, rules().wait_proven ? until : now_);
  homes_dirty_ = urgent_ = publish_ = dial_ = true;
  log(absl::StrCat("fleet: ", id, " is dead"));
}

bool Machine::State::has_said_bye(const std::string& id) const {
  const auto death = deaths_.find(id);
  return death != deaths_.end() && death->second.proof == Proof::kBye;
}

/// A member that restarts again and again leaves one each time. Only those of the roster have a meaning for ever.
void Machine::State::forget_deaths() {
  std::erase_if(deaths_, [this](const auto& death) {
    return roster_.find(death.first) == nullptr && now_ >= death.second.learned + std::chrono::minutes(1);
  });
}

void Machine::State::find_later_processes() {
  const auto later = [this](const std::string& pod_uid, const std::string& id, std::int64_t started) {
    if (pod_uid.empty() || (fixed() && dead(id))) return;  // the clock of the next one may be behind
    for (const Member& member : roster_.members)
      if (member.pod_uid == pod_uid && member.id != id && member.started < started) add_death(member.id, Proof::kLaterProcess);
  };
  later(identity_.pod_uid, identity_.id, identity_.started);
  for (const auto& [link, id] : links_)
    if (const Peer* const peer = find_peer(id)) later(peer->hello().pod_uid, peer->hello().id, peer->hello().started);
}

void Machine::State::on(const Forget& forget) {
  for (const Member& member : roster_.members) {
    if (member.id == identity_.id || (member.id != forget.who && member.address != forget.who)) continue;
    add_death(member.id, Proof::kForgotten);
    return;
  }
}

void Machine::State::on(const DrainRequested&) {
  draining_ = resigned_ = true;
  homes_dirty_ = urgent_ = true;
}

void Machine::State::on(const Emptied&) {
  if (!draining_ || emptied_) return;
  emptied_ = true;
  homes_dirty_ = urgent_ = true;
}

BootDuration Machine::State::blamed_for(const std::string& id) const {
  // With the rule off, whoever misses a member takes it out.
  return rules().promises ? std::min(silence_of(id), now_ - in_contact_since_) : silence_of(id);
}

void Machine::State::update_contact() {
  std::size_t heard = 0;
  for (const Member& member : roster_.members) {
    if (member.state != MemberState::kServing) continue;
    if (member.id == identity_.id || dead(member.id) || silence_of(member.id) <= timing().silence) ++heard;
  }
  if (heard < roster_.serving() - roster_.serving() / 2) in_contact_since_ = now_;
}

void Machine::State::vote() {
  update_contact();
  const bool may = leads();
  for (const Member& member : roster_.members) {
    if (member.id == identity_.id || fixed()) continue;
    // Withdrawn only while nothing that rests on the promises can still be written.
    if (may && !dead(member.id) && blamed_for(member.id) > timing().silence) {
      if (!votes_.asks(member.id)) urgent_ = true;
      votes_.ask(member.id);
    } else if (votes_.asks(member.id) && !lease_.put) {
      votes_.withdraw(member.id);
      urgent_ = true;
    }
  }
}

bool Machine::State::leads() const { return serving() || (self() != nullptr && nobody_serves()); }

bool Machine::State::nobody_serves() const {
  return !removed_ && !draining_ && std::none_of(roster_.members.begin(), roster_.members.end(), [this](const Member& member) {
    return member.state == MemberState::kServing && !dead(member.id);
  });
}

bool Machine::State::promised(const std::string& id) const {
  const std::set<std::string>* const promises = votes_.promised_by(id);
  if (promises == nullptr) return false;
  if (!rules().promises) return true;
  const std::size_t serving = roster_.serving();
  std::size_t count = 0;
  for (const Member& member : roster_.members) {
    if (member.state != MemberState::kServing || member.id == id) continue;
    if (member.id == identity_.id || dead(member.id) || promises->count(member.id) > 0) ++count;
  }
  return count >= serving - serving / 2;
}

bool Machine::State::is_at_this_epoch(const std::string& id) const {
  const Peer* const peer = find_peer(id);
  return id == identity_.id || dead(id) || (peer != nullptr && peer->acknowledged_at(serial_) != kLongAgo);
}

void Machine::State::update_confirmed() {
  if (confirmed_ || roster_.epoch.number == 0) return;
  std::size_t count = 0;
  for (const Member& member : roster_.members)
    if (member.state == MemberState::kServing && is_at_this_epoch(member.id)) ++count;
  confirmed_ = count >= roster_.majority() || roster_.serving() == 0 || !rules().confirmed;
  const std::size_t before = previous_serving_.size();
  const auto left = std::count_if(previous_serving_.begin(), previous_serving_.end(),
                                  [this](const std::string& id) { return is_at_this_epoch(id); });
  if (before > 0 && static_cast<std::size_t>(left) >= before - before / 2) previous_left_ = true;
}

bool Machine::State::majority_now() const {
  std::size_t count = 0;
  for (const Member& member : roster_.members) {
    if (member.state != MemberState::kServing) continue;
    const Peer* const peer = find_peer(member.id);
    const bool acknowledged = peer != nullptr && now_ - peer->acknowledged_at(serial_) < timing().silence;
    if (member.id == identity_.id || dead(member.id) || acknowledged) ++count;
  }
  return count >= roster_.majority() || roster_.serving() == 0;
}

}  // namespace router::fleet

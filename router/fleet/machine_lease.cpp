#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>

#include "router/fleet/home.h"
#include "router/fleet/state.h"

namespace router::fleet {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr BootDuration kTurn = milliseconds(40);         // between two members that want to write the same
constexpr BootDuration kRetry = milliseconds(500);       // after the API server has failed
constexpr BootDuration kGetToCover = milliseconds(500);  // a GET is to stand for the majority
constexpr BootDuration kGetToJoin = seconds(1);
constexpr BootDuration kGetAlways = seconds(5);   // watches may end unnoticed
constexpr BootDuration kCreateWait = seconds(1);  // members of a Lease that was lost come first

Member* find(Roster& roster, const std::string& id) {
  const auto found =
      std::find_if(roster.members.begin(), roster.members.end(), [&](const Member& one) { return one.id == id; });
  return found == roster.members.end() ? nullptr : &*found;
}

Roster without(Roster roster, const std::string& id) {
  roster.members.erase(
      std::remove_if(roster.members.begin(), roster.members.end(), [&](const Member& one) { return one.id == id; }),
      roster.members.end());
  return roster;
}

}  // namespace

// --- What the Lease shows

void Machine::State::on(const LeaseSeen& seen) {
  if (seen.sent == kLongAgo) {
    // A watch may lag behind: only a newer roster is believed, anything else is read again.
    absl::StatusOr<Roster> roster = seen.roster ? decode_roster(*seen.roster) : absl::NotFoundError("");
    if (roster.ok() && roster->epoch.number > roster_.epoch.number)
      look_at(seen);
    else if (seen.version != lease_.version || !seen.roster)
      lease_.wanted = true;
    return;
  }
  if (lease_.call == LeaseView::Call::kGet) lease_.call = LeaseView::Call::kNone;
  lease_.wanted = false;
  api_answers();
  look_at(seen);
  const bool replaced = seen.version != lease_.put_version || !seen.roster;
  if (lease_.put && lease_.call != LeaseView::Call::kPut && replaced) lease_.put.reset();
}

/// A Lease without a stamp tells that nobody serves only if members could stamp it. A break that is shorter than the time
/// between two stamps leaves them time enough.
void Machine::State::api_answers() {
  if (now_ - lease_.answered_at > timing().stamp) lease_.foreign_change = now_;
  lease_.answered_at = now_;
}

void Machine::State::look_at(const LeaseSeen& seen) {
  absl::StatusOr<Roster> decoded = seen.roster ? decode_roster(*seen.roster) : absl::NotFoundError("");
  if (!lease_.seen || seen.version != lease_.version) {
    lease_.changed_at = now_;
    // The watch may show an own write before its answer has come.
    if (!lease_.put || !decoded.ok() || decoded->epoch != lease_.put->epoch) lease_.foreign_change = now_;
  }
  lease_.seen = true;
  lease_.present = seen.roster.has_value();
  lease_.version = seen.version;
  if (!seen.object.empty()) {
    if (!lease_.object.empty() && lease_.object != seen.object) lease_.remade_at = now_;
    lease_.object = seen.object;
  }
  if (lease_.present) lease_.absent_since = kLongAgo;
  if (!lease_.present && lease_.absent_since == kLongAgo) lease_.absent_since = now_;
  lease_.roster.reset();
  if (!decoded.ok()) return;
  lease_.roster = *std::move(decoded);
  const Roster& roster = *lease_.roster;
  if (roster.epoch.number > roster_.epoch.number || (!rules().refuse_older && roster.epoch != roster_.epoch)) adopt(roster);
  // A GET proves that no later epoch was written. A mended Lease does not: the write of a later one may have been lost with the
  // old Lease, until a majority has acknowledged the mended one. Nor does a Lease that was made again from a copy of this
  // epoch.
  const bool proves = (roster.mended != roster.epoch.number || confirmed_ || !rules().mended_confirmed) && !remade();
  if (roster.epoch == roster_.epoch && self() != nullptr && !declared_dead_ && proves && seen.sent != kLongAgo)
    coverage_.proven_at(rules().read_time ? seen.sent : now_);
}

void Machine::State::on(const LeaseAnswered& answered) {
  const auto call = std::exchange(lease_.call, LeaseView::Call::kNone);
  const bool written = answered.outcome == LeaseOutcome::kWritten;
  const bool failed = answered.outcome == LeaseOutcome::kFailed || answered.outcome == LeaseOutcome::kUnknown;
  if (failed)
    lease_.retry_at = now_ + kRetry;
  else
    api_answers();
  if (written) {
    lease_.version = answered.version;
    lease_.changed_at = now_;
  } else {
    lease_.wanted = true;
  }
  // The stamp has changed the version: a write that was under way cannot be made any more.
  if (call == LeaseView::Call::kStamp && written) lease_.put.reset();
  if (call != LeaseView::Call::kPut || !lease_.put) return;
  if (written) {
    lease_.present = true;
    lease_.roster = lease_.put;
    const Roster roster = *std::exchange(lease_.put, std::nullopt);
    if (roster.epoch.number > roster_.epoch.number) adopt(roster);
  } else if (answered.outcome != LeaseOutcome::kUnknown || lease_.put_version.empty()) {
    lease_.put.reset();  // not written, and a late creation fails if there is a Lease by then
  }
}

bool Machine::State::stale() const {
  if (!lease_.seen || roster_.epoch.number == 0) return false;
  return !lease_.roster || (lease_.roster->epoch != roster_.epoch && lease_.roster->epoch.number <= roster_.epoch.number);
}

// --- What is written

void Machine::State::act_on_lease() {
  if (lease_.call != LeaseView::Call::kNone || now_ < lease_.retry_at || left_) return;
  const bool current = lease_.roster && lease_.roster->epoch == roster_.epoch;
  const bool unknown = lease_.put.has_value();
  if (!lease_.wanted && unknown) {
    // Another version keeps a write that is still under way from being made.
    lease_.call = LeaseView::Call::kStamp;
    actions_.emplace_back(LeaseStamp{lease_.version});
    return;
  }
  if (!lease_.wanted) {
    if (const std::optional<Roster> next = mended()) return put(*next, true);
    if (const std::optional<Roster> next = taking()) return put(*next, true);
    if (current || (!lease_.present && roster_.epoch.number == 0)) {
      if (const auto next = removal()) return put(next->first, next->second);
      const std::optional<Roster> next = own_change();
      if (next && confirmable(*next)) return put(*next, false);
    }
  }
  if (get_due()) {
    lease_.call = LeaseView::Call::kGet;
    lease_.get_sent = now_;
    actions_.emplace_back(LeaseGet{});
  } else if (current && serving() && now_ - lease_.changed_at >= timing().stamp + 10 * turn()) {
    lease_.call = LeaseView::Call::kStamp;
    actions_.emplace_back(LeaseStamp{lease_.version});
  }
}

void Machine::State::put(Roster next, bool unproven) {
  next.epoch = {.number = roster_.epoch.number + 1, .writer = identity_.id};
  if (unproven) next.unproven = next.epoch.number;
  lease_.call = LeaseView::Call::kPut;
  lease_.put_version = lease_.present ? lease_.version : std::string();
  actions_.emplace_back(LeasePut{encode(next), lease_.put_version});
  lease_.put = std::move(next);
}

bool Machine::State::get_due() const {
  const BootDuration since = now_ - lease_.get_sent;
  if (lease_.wanted || !lease_.seen) return true;
  const bool current = lease_.roster && lease_.roster->epoch == roster_.epoch;
  if (!current && roster_.epoch.number != 0 && since >= 2 * kTurn && lease_.present) return !stale() || since >= kGetToJoin;
  if (!serving()) return since >= kGetToJoin;
  if (now_ - coverage_.evidence() > 3 * timing().beat) return since >= kGetToCover;
  return since >= (stale() ? kGetToJoin : kGetAlways);
}

BootDuration Machine::State::turn() const {
  BootDuration turn{};
  for (const Member& member : roster_.members) {
    if (member.id == identity_.id) break;
    if (!dead(member.id) && !votes_.asks(member.id)) turn += kTurn;
  }
  return turn;
}

std::optional<Roster> Machine::State::mended() const {
  if (!stale() || !(serving() || nobody_serves()) || !confirmed_ || !majority_now()) return std::nullopt;
  if (!lease_.present && now_ < lease_.absent_since + 2 * turn()) return std::nullopt;
  Roster next = roster_;
  next.mended = roster_.epoch.number + 1;
  return next;
}

std::optional<std::pair<Roster, bool>> Machine::State::removal() const {
  if (!may_write() || self() == nullptr || removed_) return std::nullopt;
  for (const Member& member : roster_.members) {
    if (member.id == identity_.id) continue;
    const auto death = deaths_.find(member.id);
    if (death != deaths_.end() && now_ >= std::max(death->second.learned, adopted_at_) + turn()) {
      Roster next = without(roster_, member.id);
      if (confirmable(next)) return std::pair(std::move(next), death->second.proof == Proof::kForgotten);
    }
    if (death == deaths_.end() && promised(member.id)) return std::pair(without(roster_, member.id), true);
  }
  return std::nullopt;
}

/// If the Lease was lost or restored old besides, no member is there that mends it.
std::optional<Roster> Machine::State::taking() const {
  const std::optional<std::string> taken = to_take();
  if (!taken || (lease_.roster && lease_.roster->epoch != roster_.epoch && !stale())) return std::nullopt;
  Roster next = without(roster_, *taken);
  if (stale()) next.mended = roster_.epoch.number + 1;
  return next;
}

std::optional<std::string> Machine::State::to_take() const {
  const BootDuration wait = timing().take_after;
  if (wait == BootDuration::zero() || serving() || draining_ || removed_ || roster_.serving() == 0) return std::nullopt;
  if (now_ < lease_.foreign_change + wait || now_ - lease_.answered_at > timing().stamp) return std::nullopt;
  std::optional<std::string> first;
  for (const Member& member : roster_.members) {
    if (member.state != MemberState::kServing) continue;
    if (!dead(member.id) && silence_of(member.id) < wait) return std::nullopt;
    if (!first) first = member.id;
  }
  return first;
}

/// Whether a majority can acknowledge the next roster. A proven dead member counts, so it is worth more in the roster than out
/// of it as long as a silent one is to be taken out, too.
bool Machine::State::confirmable(const Roster& next) const {
  std::size_t count = 0;
  for (const Member& member : next.members) {
    if (member.state != MemberState::kServing) continue;
    const Peer* const peer = find_peer(member.id);
    const bool heard = peer != nullptr && peer->newest() != 0 && now_ - peer->heard_at() <= timing().silence;
    if (member.id == identity_.id || dead(member.id) || heard) ++count;
  }
  return count >= next.majority() || next.serving() == 0;
}

bool Machine::State::may_join() const {
  if (removed_ || draining_ || roster_.members.size() >= kMembersMax) return false;
  if (roster_.epoch.number == 0)
    return now_ >= lease_.absent_since + kCreateWait + milliseconds(home_weight(identity_.id, "create") % 1000);
  return confirmed_ && std::all_of(roster_.members.begin(), roster_.members.end(), [this](const Member& member) {
           return dead(member.id) || overlap(member.protocols, options_.protocols);
         });
}

bool Machine::State::may_serve() const {
  if (draining_ || (rules().join_wait && now_ < joined_at_ + timing().takeover_wait())) return false;
  return std::all_of(roster_.members.begin(), roster_.members.end(), [this](const Member& member) {
    if (member.id == identity_.id || dead(member.id)) return true;
    const Peer* const peer = find_peer(member.id);
    return peer != nullptr && peer->linked() && peer->newest() != 0 && silence_of(member.id) < seconds(1);
  });
}

std::optional<Roster> Machine::State::own_change() const {
  Roster next = roster_;
  Member* const own = find(next, identity_.id);
  if (own == nullptr) {
    if (!may_join()) return std::nullopt;
    next.members.push_back({.id = identity_.id,
                            .pod_uid = identity_.pod_uid,
                            .address = identity_.address,
                            .started = identity_.started,
                            .protocols = options_.protocols,
                            .state = MemberState::kJoining});
    return next;
  }
  if (!may_write()) return std::nullopt;
  if (said_bye_ && idle()) return without(std::move(next), identity_.id);
  // The last one that served is dead, and requests of own clients wait: they need a home, which only a serving member is.
  if (draining_ && !emptied_ && own->state == MemberState::kLeaving && next.serving() == 0) {
    own->state = MemberState::kServing;
    return next;
  }
  // The last one stays: without a serving member there is no majority, and so no coverage.
  if (draining_ && own->state == MemberState::kServing && !all_have_resigned()) {
    own->state = MemberState::kLeaving;
    return next;
  }
  if (own->state != MemberState::kJoining || !may_serve()) return std::nullopt;
  own->state = MemberState::kServing;
  return next;
}

}  // namespace router::fleet

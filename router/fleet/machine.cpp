#include "router/fleet/machine.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>

#include "router/fleet/state.h"

namespace router::fleet {

namespace {

constexpr BootDuration kPause = std::chrono::seconds(1);  // without an event: this process did not run

}  // namespace

Machine::Machine(Identity identity, Options options, BootTime now)
    : state_(std::make_unique<State>(std::move(identity), std::move(options), now)) {}
Machine::~Machine() = default;
Machine::Machine(Machine&&) noexcept = default;
Machine& Machine::operator=(Machine&&) noexcept = default;

void Machine::handle(BootTime now, Event event) { state_->handle(now, std::move(event)); }
std::vector<Action> Machine::take_actions() { return state_->take_actions(); }
BootTime Machine::next_tick() const { return state_->next_tick(); }
std::string Machine::hello() const { return state_->hello(); }
const Assignment& Machine::assignment() const { return state_->assignment(); }
BootTime Machine::covered_until() const { return state_->covered_until(); }
bool Machine::must_cut() const { return state_->must_cut(); }
bool Machine::may_leave() const { return state_->may_leave(); }
const Timing& Machine::timing() const { return state_->timing(); }
Report Machine::report(BootTime now) const { return state_->report(now); }

Machine::State::State(Identity identity, Options options, BootTime now)
    : identity_(std::move(identity)),
      base_id_(identity_.id),
      options_(std::move(options)),
      now_(now),
      awake_since_(now),
      in_contact_since_(now),
      adopted_at_(now),
      coverage_(options_.timing.coverage),
      next_beat_(now),
      wait_until_(now) {
  if (fixed()) fixed_start();
}

void Machine::State::handle(BootTime now, Event event) {
  if (now - now_ > kPause) awake_since_ = now;
  now_ = std::max(now, now_);
  std::visit([this](auto& happened) { on(happened); }, event);
  settle();
}

void Machine::State::on(const Waits& waits) {
  Timing& now = options_.timing;
  const BootDuration before = now.takeover_wait();
  now.running_grace = std::max(now.running_grace, waits.running_grace);
  now.abort_wait = std::max(now.abort_wait, waits.abort_wait);
  if (now_ < wait_until_) wait_until_ += now.takeover_wait() - before;
  waits_ = waits;
  waits_fall_at_ = now_ + now.takeover_wait();
}

void Machine::State::settle() {
  if (now_ >= waits_fall_at_) {
    options_.timing.running_grace = waits_.running_grace;
    options_.timing.abort_wait = waits_.abort_wait;
    waits_fall_at_ = kAlways;
  }
  if (fixed()) fixed_settle();
  update_confirmed();
  update_coverage();
  if (removed_ && !homes_dirty_) come_back();  // its homes are lost first: until then nobody tells what runs there
  vote();
  if (homes_dirty_) find_homes();
  if (book_.expire(now_)) publish_ = true;
  lose_homes();
  take_over();
  if (draining_) say_bye();
  if (!fixed()) act_on_lease();
  if (publish_) publish();
  if (urgent_ || now_ >= next_beat_) send_beats();
  dial();
}

void Machine::State::update_coverage() {
  if (fixed()) {
    must_cut_ = declared_dead_;
    return;
  }
  if (self() != nullptr && !removed_ && !declared_dead_) {
    if (!rules().majority) coverage_.proven_at(now_);
    std::vector<BootTime> times;
    times.reserve(roster_.members.size());
    for (const Member& member : roster_.members) {
      if (member.state != MemberState::kServing) continue;
      const Peer* const peer = find_peer(member.id);
      const bool counts_now = member.id == identity_.id || (!rules().dead_do_not_cover && dead(member.id));
      times.push_back(counts_now ? now_ : peer == nullptr ? kLongAgo : peer->acknowledged_at(serial_));
    }
    const BootTime acknowledged = Coverage::reached_by(roster_.majority(), times);
    coverage_.proven_at(acknowledged);
    if (acknowledged > lease_.remade_at) lease_.remade_at = kLongAgo;
  }
  must_cut_ = rules().cut && now_ >= coverage_.until() + timing().running_grace;
}

void Machine::State::come_back() {
  // Whatever ran under the old id has to be over: nobody would count it any more.
  if (draining_ || (rules().reborn_empty && !limited_idle())) return;
  identity_.id = absl::StrCat(base_id_, "~", ++rebirths_);
  ++identity_.started;
  removed_ = declared_dead_ = false;
  if (rules().reborn_empty) coverage_.end();
  wait_until_ = now_ + timing().takeover_wait();
  joined_at_ = kLongAgo;
  lease_.wanted = true;
  for (const auto& [link, id] : links_) actions_.emplace_back(EndLink{link, "this process is another member now"});
  log(absl::StrCat("fleet: comes back as ", identity_.id));
}

void Machine::State::say_bye() {
  // Requests of its own clients may wait at the home: if that is lost, this process is home again unless another can be.
  if (said_bye_ || !emptied_ || !idle()) return;
  said_bye_ = true;
  bye_at_ = now_;
  const std::string bye = encode(Bye{});
  for (const auto& [link, id] : links_) actions_.emplace_back(SendFrame{link, bye});
}

std::vector<Action> Machine::State::take_actions() { return std::exchange(actions_, {}); }

BootTime Machine::State::next_tick() const {
  BootTime next = std::min(next_beat_, book_.next_end());
  if (wait_until_ > now_) next = std::min(next, wait_until_);
  if (!fixed() && lease_.retry_at > now_) next = std::min(next, lease_.retry_at);
  return std::max(next, now_ + std::chrono::milliseconds(1));
}

std::string Machine::State::hello() const {
  return encode(Hello{.id = identity_.id,
                      .pod_uid = identity_.pod_uid,
                      .address = identity_.address,
                      .started = identity_.started,
                      .protocols = options_.protocols});
}

bool Machine::State::serving() const {
  if (fixed()) return fixed_serving_;
  const Member* const member = self();
  return member != nullptr && member->state == MemberState::kServing && !removed_ && !declared_dead_;
}

bool Machine::State::may_leave() const {
  if (!said_bye_ || !idle()) return false;
  // The others are told twice: by the bye, and by the roster if the API server can be reached.
  return fixed() || left_ || self() == nullptr || now_ >= bye_at_ + std::chrono::seconds(5);
}

}  // namespace router::fleet

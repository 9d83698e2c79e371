#include "router/dispatch/capacity.h"

#include <algorithm>
#include <utility>

#include "router/base/assert.h"

namespace router::dispatch {

bool Capacity::available_without(const Replica* avoided) const {
  if (avoided == nullptr || !avoided->serves()) return available();
  const std::size_t others = usable() - (avoided->usable() ? 1 : 0);
  if (others > 0) return true;
  const bool alone = reachable() - ejected_ == 1;
  return alone && avoided->usable();
}

Capacity::Taken Capacity::take(std::size_t shard, Replica* avoided) noexcept {
  const bool passes_over = avoided != nullptr && avoided->usable() && usable() > 1;
  if (passes_over) withdraw(*avoided);
  Replica& replica = choosable_.empty() ? shedding_.pick() : choosable_.pick();
  if (passes_over) offer(*avoided);
  ROUTER_ASSERT(replica.usable());
  withdraw(replica);
  const PodSlots::Taken granted = replica.pod_->take(replica, shard);
  if (!granted.granted) {
    await_pod(replica, granted.preemptible);
    return {};
  }
  Taken taken{members_[replica.member_], granted.entry};
  ++replica.in_use_;
  ++held_;
  offer(replica);
  return taken;
}

void Capacity::give_back(Replica& replica, StockEntry* entry, Retired& retired) noexcept {
  ROUTER_ASSERT(replica.in_use_ > 0);
  withdraw(replica);
  --replica.in_use_;
  --held_;
  replica.pod_->give_back(replica, entry, retired.connections, retired.notices);
  end_wait_for_pod(replica);
  offer(replica);
}

bool Capacity::judge(Replica& replica, const ReplicaReport& report, TimePoint now) noexcept {
  if (report.outcome == ReplicaReport::Outcome::kSucceeded) replica.health_.succeeded();
  if (report.outcome == ReplicaReport::Outcome::kFailed) replica.health_.failed();
  if (!replica.serves()) return false;
  if (report.sheds_until > now) shed(replica, report.sheds_until);
  if (report.outcome == ReplicaReport::Outcome::kRefused) {
    refuse(replica, now);
    return true;
  }
  if (!replica.health_.failing() || !may_eject_another()) return false;
  withdraw(replica);
  replica.health_.eject(now);
  serving_slots_.reset();
  ++ejected_;
  return true;
}

/// Not limited to half of the replicas: if the only replica refuses, requests wait for it rather than fail.
void Capacity::refuse(Replica& replica, TimePoint now) noexcept {
  withdraw(replica);
  replica.health_.refuse(now);
  serving_slots_.reset();
  count(ready_, refusing_ + 1);
  keep_half(now);
}

void Capacity::readmit(Replica& replica, TimePoint now) noexcept {
  if (replica.health_.well()) return;
  const bool counts = replica.member() && replica.ready_;
  const bool refused = replica.health_.refusing();
  replica.health_.readmit(now);
  serving_slots_.reset();
  if (counts && refused) count(ready_, refusing_ - 1);
  if (counts && !refused) --ejected_;
  offer(replica);
}

void Capacity::shed(Replica& replica, TimePoint until) noexcept {
  withdraw(replica);
  replica.sheds_until_ = std::max(replica.sheds_until_, until);
  if (!replica.sheds_) shedders_.push_back(&replica);
  replica.sheds_ = true;
  shedding_ends_ = std::min(shedding_ends_, replica.sheds_until_);
  offer(replica);
}

bool Capacity::end_due_shedding(TimePoint now) noexcept {
  shedding_ends_ = kNever;
  std::erase_if(shedders_, [&](Replica* replica) {
    if (replica->sheds_until_ > now) {
      shedding_ends_ = std::min(shedding_ends_, replica->sheds_until_);
      return false;
    }
    withdraw(*replica);
    replica->sheds_ = false;
    offer(*replica);
    return true;
  });
  return true;
}

void Capacity::keep_half(TimePoint now) noexcept {
  while (2 * ejected_ > reachable()) {
    Replica* first = nullptr;
    for (const std::shared_ptr<Replica>& replica : members_) {
      const bool counts = replica->ready_ && replica->health_.ejected();
      if (counts && (first == nullptr || replica->health_.asked_from() < first->health_.asked_from())) {
        first = replica.get();
      }
    }
    ROUTER_ASSERT(first != nullptr);  // `ejected_` counts them
    readmit(*first, now);
  }
}

void Capacity::set_replicas(const std::vector<std::shared_ptr<Replica>>& replicas, const std::weak_ptr<RequestQueue>& queue,
                            TimePoint now, Retired& retired) {
  std::vector<std::shared_ptr<Replica>> next;
  next.reserve(replicas.size());
  shedders_.reserve(replicas.size());
  std::size_t load_max = 0;
  for (const std::shared_ptr<Replica>& replica : replicas) {
    replica->pod_->make_slots(replica->slots_max_);
    load_max = std::max(load_max, replica->limited() ? replica->slots_max_ : LoadBuckets::kLoadsReserved);
  }
  reserve_loads(replicas.size(), load_max);
  replace(std::move(next), replicas, queue, now, retired);
}

void Capacity::replace(std::vector<std::shared_ptr<Replica>> next, const std::vector<std::shared_ptr<Replica>>& replicas,
                       const std::weak_ptr<RequestQueue>& queue, TimePoint now, Retired& retired) noexcept {
  std::vector<std::shared_ptr<Replica>> before = std::exchange(members_, std::move(next));
  serving_slots_.reset();
  for (const std::shared_ptr<Replica>& replica : before) {
    withdraw(*replica);
    replica->member_ = Replica::kNone;
  }
  for (const std::shared_ptr<Replica>& replica : replicas) {
    if (replica->member()) continue;  // listed twice
    replica->member_ = members_.size();
    members_.push_back(replica);
    if (std::exchange(replica->joined_, true)) continue;
    replica->pod_->join(replica, queue, replica->slots_max_, retired.connections);
  }
  std::erase_if(shedders_, [](Replica* replica) {
    if (!replica->member()) replica->sheds_ = false;
    return !replica->member();
  });
  for (const std::shared_ptr<Replica>& replica : before) {
    if (replica->member()) continue;
    replica->ready_ = false;
    replica->joined_ = false;
    end_wait_for_pod(*replica);
    replica->pod_->leave(*replica, retired.connections, retired.notices);
  }
  retired.replicas = std::move(before);
  std::size_t ready = 0;
  std::size_t refusing = 0;
  ejected_ = 0;
  for (const std::shared_ptr<Replica>& replica : members_) {
    if (replica->ready_) ++ready;
    if (replica->ready_ && replica->health_.ejected()) ++ejected_;
    if (replica->ready_ && replica->health_.refusing()) ++refusing;
    offer(*replica);
  }
  count(ready, refusing);
  keep_half(now);
}

void Capacity::set_ready(Replica& replica, bool ready, TimePoint now) noexcept {
  if (replica.ready_ == ready) return;
  withdraw(replica);
  replica.ready_ = ready;
  serving_slots_.reset();
  // Its readiness was checked since: earlier failures do not count any more.
  if (ready) replica.health_.well() ? replica.health_.succeeded() : replica.health_.readmit(now);
  if (replica.member()) {
    const bool refused = replica.health_.refusing();  // possible only if it was ready
    count(ready ? ready_ + 1 : ready_ - 1, refused ? refusing_ - 1 : refusing_);
    if (replica.health_.ejected()) --ejected_;  // possible only if it was ready
  }
  offer(replica);
  keep_half(now);
}

void Capacity::set_slots(Replica& replica, std::size_t slots, Retired& retired) {
  replica.pod_->make_slots(slots);
  reserve_loads(members_.size(), slots > 0 ? slots : LoadBuckets::kLoadsReserved);
  withdraw(replica);
  replica.slots_max_ = slots;
  serving_slots_.reset();
  replica.pod_->set_slots(replica, slots, retired.connections, retired.notices);
  offer(replica);
}

void Capacity::use_reservation(Replica& replica) noexcept {
  withdraw(replica);
  end_wait_for_pod(replica);
  offer(replica);
}

void Capacity::await_pod(Replica& replica, std::size_t preemptible) noexcept {
  replica.waits_for_pod_ = true;
  found_full_ = &replica;
  replica.awaited_preemptions_ = preemptible;
  awaited_preemptions_ += preemptible;
  preempts_ = preempts_ || preemptible > 0;
}

void Capacity::end_wait_for_pod(Replica& replica) noexcept {
  replica.waits_for_pod_ = false;
  awaited_preemptions_ -= std::exchange(replica.awaited_preemptions_, 0);
}

/// No probe takes the slot before the replica does: the pod has recorded that the replica wants one, and reserves it.
void Capacity::preempt_all_holders(SlotNotices& notices) noexcept {
  preempts_ = false;
  for (const std::shared_ptr<Replica>& replica : members_) {
    if (replica->awaited_preemptions_ > 0) replica->pod_->preempt_holders(notices);
  }
}

void Capacity::reserve_loads(std::size_t replicas, std::size_t load_max) {
  choosable_.reserve(replicas, load_max);
  shedding_.reserve(replicas, load_max);
}

std::size_t Capacity::slots() const {
  std::size_t sum = 0;
  for (const std::shared_ptr<Replica>& replica : members_) sum += replica->slots_max_;
  return sum;
}

std::size_t Capacity::serving_slots() const {
  if (!serving_slots_) serving_slots_ = count_serving_slots();
  return *serving_slots_;
}

std::size_t Capacity::count_serving_slots() const {
  std::size_t sum = 0;
  for (const std::shared_ptr<Replica>& replica : members_) {
    if (!replica->serves()) continue;
    if (!replica->limited()) return 0;
    sum += replica->slots_max_;
  }
  return sum;
}

std::size_t Capacity::count_awaited_preemptions() const {
  std::size_t sum = 0;
  for (const std::shared_ptr<Replica>& replica : members_) sum += replica->serves() ? replica->awaited_preemptions_ : 0;
  return sum;
}

void Capacity::offer(Replica& replica) noexcept {
  if (replica.usable()) buckets(replica).insert(replica, replica.in_use_);
}

void Capacity::count(std::size_t ready, std::size_t refusing) noexcept {
  if (reachable() == 0 && ready > refusing) ++revivals_;
  ready_ = ready;
  refusing_ = refusing;
}

void Capacity::check() const {
#ifdef ROUTER_CHECKS
  std::size_t ready = 0;
  std::size_t in_use = 0;
  std::size_t ejected = 0;
  std::size_t refusing = 0;
  std::size_t shedding = 0;
  std::size_t awaited_preemptions = 0;
  for (std::size_t index = 0; index < members_.size(); ++index) {
    const Replica& replica = *members_[index];
    ROUTER_ASSERT(replica.member_ == index);
    const bool exact = choosable_.exact() && shedding_.exact();
    ROUTER_ASSERT(replica.usable() == (replica.bucket_ != Replica::kNone));
    ROUTER_ASSERT(!replica.usable() || (exact ? replica.bucket_ == replica.in_use_ : replica.bucket_ <= replica.in_use_));
    ROUTER_ASSERT(replica.joined_);
    replica.pod_->check();
    ready += replica.ready_ ? 1 : 0;
    ejected += replica.ready_ && replica.health_.ejected() ? 1 : 0;
    refusing += replica.ready_ && replica.health_.refusing() ? 1 : 0;
    shedding += replica.sheds_ ? 1 : 0;
    awaited_preemptions += replica.awaited_preemptions_;
    ROUTER_ASSERT(replica.waits_for_pod_ || replica.awaited_preemptions_ == 0);
    in_use += replica.in_use_;
  }
  ROUTER_ASSERT(ready == ready_);
  ROUTER_ASSERT(refusing == refusing_);
  ROUTER_ASSERT(ejected == ejected_ && 2 * ejected_ <= reachable());
  ROUTER_ASSERT(shedding == shedders_.size());
  ROUTER_ASSERT(in_use <= held_);
  ROUTER_ASSERT(awaited_preemptions == awaited_preemptions_);
  ROUTER_ASSERT(serving_slots() == count_serving_slots());
#endif
}

}  // namespace router::dispatch

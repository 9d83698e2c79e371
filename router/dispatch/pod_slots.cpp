#include "router/dispatch/pod_slots.h"

#include <algorithm>
#include <utility>

#include "router/base/assert.h"
#include "router/dispatch/membership.h"
#include "router/dispatch/replica.h"

namespace router::dispatch {

SlotNotices::Notice SlotNotices::pop() noexcept {
  if (list_.empty()) return {};
  PodMember& member = list_.front();
  const std::shared_ptr<PodSlots> pod = member.self_->pod();  // only `pop` changes `self_` while the member is in a list
  const std::lock_guard lock(pod->mutex_);
  list_.pop_front();
  return {std::move(member.self_), member.queue_.lock()};
}

void SlotNotices::preempt_holders() noexcept {
  while (!preempted_.empty()) {
    const std::shared_ptr<PreemptibleHolder> holder = std::move(preempted_.front().self_);
    preempted_.pop_front();
    holder->preempt();
  }
}

void PodSlots::make_slots(std::size_t slots) {
  const std::lock_guard lock(mutex_);
  if (transport_ == Transport::kOneExchange) stock_.make(slots);
}

void PodSlots::join(const std::shared_ptr<Replica>& replica, const std::weak_ptr<RequestQueue>& queue, std::size_t slots,
                    RetiredConnections& retired) noexcept {
  const std::lock_guard lock(mutex_);
  PodMember& member = replica->pod_member_;
  member.replica_ = replica;
  member.queue_ = queue;
  member.slots_ = slots;
  members_.push_back(member);
  count_slots();
  trim(retired);
}

void PodSlots::leave(Replica& replica, RetiredConnections& retired, SlotNotices& notices) noexcept {
  const std::lock_guard lock(mutex_);
  PodMember& member = replica.pod_member_;
  if (!member.hook_.is_linked()) return;
  take_back_reserved(member);
  member.wants_ = false;
  members_.erase(members_.iterator_to(member));
  count_slots();
  trim(retired);
  reserve_free_slots(notices);
}

void PodSlots::set_slots(Replica& replica, std::size_t slots, RetiredConnections& retired, SlotNotices& notices) noexcept {
  const std::lock_guard lock(mutex_);
  PodMember& member = replica.pod_member_;
  if (!member.hook_.is_linked()) return;
  member.slots_ = slots;
  count_slots();
  trim(retired);
  reserve_free_slots(notices);
}

PodSlots::Taken PodSlots::take(Replica& replica, std::size_t shard) noexcept {
  const std::lock_guard lock(mutex_);
  PodMember& member = replica.pod_member_;
  ROUTER_ASSERT(member.hook_.is_linked());
  if (member.reserved_ > 0) {
    --member.reserved_;
    --reserved_;
  }
  Taken taken = take_free(shard);
  if (!taken.granted) {
    member.wants_ = true;
    taken.preemptible = preemptible_;
  }
  return taken;
}

PodSlots::Taken PodSlots::take_preemptible(std::size_t shard, PreemptibleHolder* holder) noexcept {
  const std::lock_guard lock(mutex_);
  if (membership_ != nullptr && limited() && !membership_->coverage().covers_now()) return {};
  const Taken taken = take_free(shard);
  if (taken.granted && holder != nullptr) {
    ++preemptible_;
    not_preempted_.push_back(*holder);
  }
  return taken;
}

PodSlots::Taken PodSlots::take_free(std::size_t shard) noexcept {
  Taken taken;
  if (!has_free()) return taken;
  // An entry with another shard's connection is taken only if a new connection would exceed the limit.
  if (keeps_stock()) taken.entry = stock_.take(shard, in_use_ + stock_.resting() < slots_);
  taken.granted = !keeps_stock() || taken.entry != nullptr;
  if (taken.granted) ++in_use_;
  return taken;
}

void PodSlots::give_back(Replica& replica, StockEntry* entry, RetiredConnections& retired, SlotNotices& notices) noexcept {
  const std::lock_guard lock(mutex_);
  put_back(entry, retired);
  replica.pod_member_.wants_ = false;
  reserve_free_slots(notices);
}

void PodSlots::give_back_preemptible(StockEntry* entry, PreemptibleHolder* holder, RetiredConnections& retired,
                                     SlotNotices& notices) noexcept {
  const std::lock_guard lock(mutex_);
  if (holder != nullptr) {
    --preemptible_;
    if (holder->hook_.is_linked()) not_preempted_.erase(not_preempted_.iterator_to(*holder));
  }
  put_back(entry, retired);
  reserve_free_slots(notices);
}

void PodSlots::preempt_holders(SlotNotices& notices) noexcept {
  const std::lock_guard lock(mutex_);
  preempt_all(notices);
}

void PodSlots::preempt_all(SlotNotices& notices) noexcept {
  while (!not_preempted_.empty()) {
    PreemptibleHolder& holder = not_preempted_.front();
    not_preempted_.pop_front();
    holder.self_ = holder.shared_from_this();
    notices.preempted_.push_front(holder);
  }
}

void PodSlots::put_back(StockEntry* entry, RetiredConnections& retired) noexcept {
  ROUTER_ASSERT(in_use_ > 0);
  --in_use_;
  if (entry != nullptr) stock_.put(*entry);
  trim(retired);
}

void PodSlots::drop_reservation(Replica& replica, SlotNotices& notices) noexcept {
  const std::lock_guard lock(mutex_);
  PodMember& member = replica.pod_member_;
  if (member.reserved_ == 0) return;
  take_back_reserved(member);
  reserve_free_slots(notices);
}

bool PodSlots::take_connection(StockEntry& entry, const StockedConnection* expected, std::unique_ptr<StockedConnection>& out) {
  std::unique_ptr<StockedConnection> taken;
  {
    const std::lock_guard lock(mutex_);
    taken = ConnectionStock::strip(entry, expected);
  }
  if (taken == nullptr) return false;
  out = std::move(taken);
  return true;
}

void PodSlots::take_back_reserved(PodMember& member) noexcept { reserved_ -= std::exchange(member.reserved_, 0); }

void PodSlots::count_slots() noexcept {
  slots_ = kNoLimit;
  for (const PodMember& each : members_) {
    if (each.slots_ > 0) slots_ = std::min(slots_, each.slots_);
  }
  if (limited()) slots_ -= std::min(slots_, withheld_);
  if (withdrawn_) slots_ = 0;
}

void PodSlots::change_slots(RetiredConnections& retired, SlotNotices& notices) noexcept {
  count_slots();
  trim(retired);
  if (in_use_ > slots_) preempt_all(notices);
  reserve_free_slots(notices);
}

void PodSlots::withhold(std::size_t slots, RetiredConnections& retired, SlotNotices& notices) noexcept {
  const std::lock_guard lock(mutex_);
  withheld_ = slots;
  change_slots(retired, notices);
}

/// Read under the mutex: a slot is taken before its connection stops to be loose, and given back after it became loose.
std::size_t PodSlots::busy() const {
  const std::lock_guard lock(mutex_);
  return in_use_ + stock_.resting() + (loose_ != nullptr ? loose_->count() : 0);
}

void PodSlots::reserve_free_slots(SlotNotices& notices) noexcept {
  for (std::size_t count = members_.size(); count > 0 && has_free(); --count) {
    PodMember& member = members_.front();
    members_.splice(members_.end(), members_, members_.begin());
    if (!std::exchange(member.wants_, false)) continue;
    ++member.reserved_;
    ++reserved_;
    if (member.self_ != nullptr) continue;  // a notice for it is already in a list
    member.self_ = member.replica_.lock();  // never null: its queue holds the replica
    notices.list_.push_back(member);
  }
}

/// Retires idle connections so that the pod has no more connections, in use or idle, than slots. A pod without members or
/// without a limit keeps no idle connection here.
void PodSlots::trim(RetiredConnections& retired) noexcept {
  const bool keeps = limited() && slots_ > in_use_;
  stock_.trim(keeps ? slots_ - in_use_ : 0, retired, loose_);
}

void PodSlots::check() const {
#ifdef ROUTER_CHECKS
  const std::lock_guard lock(mutex_);
  std::size_t reserved = 0;
  bool wanted = false;
  for (const PodMember& each : members_) {
    reserved += each.reserved_;
    wanted = wanted || each.wants_;
  }
  ROUTER_ASSERT(reserved == reserved_);
  ROUTER_ASSERT(preemptible_ <= in_use_ && not_preempted_.size() <= preemptible_);
  ROUTER_ASSERT(!wanted || !has_free());
  ROUTER_ASSERT(stock_.resting() == 0 || in_use_ + stock_.resting() <= slots_);
#endif
}

std::size_t PodSlots::in_use() const {
  const std::lock_guard lock(mutex_);
  return in_use_;
}

}  // namespace router::dispatch

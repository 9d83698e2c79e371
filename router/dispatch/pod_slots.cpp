#include "router/dispatch/pod_slots.h"

#include <algorithm>
#include <utility>

#include "router/base/assert.h"

namespace router::dispatch {

void PodSlots::join(const std::shared_ptr<Replica>& replica, std::weak_ptr<Line> line, std::size_t slots, Retired& retired) {
  const std::lock_guard lock(mutex_);
  members_.push_back({replica.get(), Heir{std::move(line), replica}, slots});
  count_slots();
  trim(retired);
}

void PodSlots::leave(const Replica& replica, Retired& retired) {
  const std::lock_guard lock(mutex_);
  Member* member = find(replica);
  if (member == nullptr) return;
  take_back_set_aside(*member);
  members_.erase(members_.begin() + (member - members_.data()));
  count_slots();
  trim(retired);
  bequeath(retired);
}

void PodSlots::set_slots(const Replica& replica, std::size_t slots, Retired& retired) {
  const std::lock_guard lock(mutex_);
  Member* member = find(replica);
  if (member == nullptr) return;
  member->slots = slots;
  count_slots();
  trim(retired);
  bequeath(retired);
}

PodSlots::Taken PodSlots::take(const Replica& replica, std::size_t shard) {
  const std::lock_guard lock(mutex_);
  Member* member = find(replica);
  ROUTER_ASSERT(member != nullptr);
  if (member->set_aside > 0) {
    --member->set_aside;
    --set_aside_;
  }
  if (!has_free()) {
    member->wants = true;
    return {};
  }
  Taken taken{true, nullptr};
  // A connection of another shard is only taken over when a new one would be one too many.
  if (slots_ > 0) taken.slot = &stock_.take(shard, in_use_ + stock_.resting() < slots_);
  ++in_use_;
  return taken;
}

void PodSlots::give_back(const Replica& replica, Slot* slot, Retired& retired) {
  const std::lock_guard lock(mutex_);
  ROUTER_ASSERT(in_use_ > 0);
  --in_use_;
  if (slot != nullptr) stock_.put(*slot);
  trim(retired);
  if (Member* member = find(replica); member != nullptr) member->wants = false;
  bequeath(retired);
}

void PodSlots::decline(const Replica& replica, Retired& retired) {
  const std::lock_guard lock(mutex_);
  Member* member = find(replica);
  if (member == nullptr || member->set_aside == 0) return;
  take_back_set_aside(*member);
  bequeath(retired);
}

bool PodSlots::take_cargo(Slot& slot, const Cargo* expected, std::unique_ptr<Cargo>& out) {
  std::unique_ptr<Cargo> taken;
  {
    const std::lock_guard lock(mutex_);
    taken = SlotStock::strip(slot, expected);
  }
  if (taken == nullptr) return false;
  out = std::move(taken);
  return true;
}

PodSlots::Member* PodSlots::find(const Replica& replica) {
  const auto found =
      std::find_if(members_.begin(), members_.end(), [&](const Member& each) { return each.replica == &replica; });
  return found == members_.end() ? nullptr : &*found;
}

void PodSlots::take_back_set_aside(Member& member) { set_aside_ -= std::exchange(member.set_aside, 0); }

void PodSlots::count_slots() {
  slots_ = 0;
  for (const Member& each : members_) {
    if (each.slots > 0) slots_ = slots_ == 0 ? each.slots : std::min(slots_, each.slots);
  }
}

void PodSlots::bequeath(Retired& retired) {
  for (std::size_t count = members_.size(); count > 0 && has_free(); --count) {
    next_ = next_ + 1 < members_.size() ? next_ + 1 : 0;
    Member& member = members_[next_];
    if (!std::exchange(member.wants, false)) continue;
    ++member.set_aside;
    ++set_aside_;
    retired.heirs.push_back(member.heir);
  }
}

/// A pod has no more connections, in use or resting, than slots; one that is gone, or has no limit, rests none here.
void PodSlots::trim(Retired& retired) {
  const bool keeps = !members_.empty() && slots_ > in_use_;
  stock_.trim(keeps ? slots_ - in_use_ : 0, retired.cargo);
}

void PodSlots::check() const {
#ifdef ROUTER_CHECKS
  const std::lock_guard lock(mutex_);
  std::size_t set_aside = 0;
  bool wanted = false;
  for (const Member& each : members_) {
    set_aside += each.set_aside;
    wanted = wanted || each.wants;
  }
  ROUTER_ASSERT(set_aside == set_aside_);
  ROUTER_ASSERT(!wanted || !has_free());
  ROUTER_ASSERT(stock_.resting() == 0 || in_use_ + stock_.resting() <= slots_);
#endif
}

std::size_t PodSlots::in_use() const {
  const std::lock_guard lock(mutex_);
  return in_use_;
}

}  // namespace router::dispatch

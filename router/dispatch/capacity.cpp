#include "router/dispatch/capacity.h"

#include <algorithm>
#include <utility>

#include "router/base/assert.h"

namespace router::dispatch {

Capacity::Taken Capacity::take(std::size_t shard) {
  Replica& replica = choosable_.pick();
  ROUTER_ASSERT(replica.usable());
  choosable_.erase(replica);
  Taken taken;
  taken.replica = members_[replica.member_];
  if (replica.limited()) {
    // A connection of another shard is only taken over when a new one would be one too many.
    const bool may_open = replica.in_use_ + replica.stock_.resting() < replica.slots_max_;
    taken.slot = &replica.stock_.take(shard, may_open);
  }
  ++replica.in_use_;
  ++leases_;
  offer(replica);
  return taken;
}

void Capacity::give_back(Replica& replica, Slot* slot, Retired& retired) {
  ROUTER_ASSERT(replica.in_use_ > 0);
  choosable_.erase(replica);
  --replica.in_use_;
  --leases_;
  if (slot != nullptr) replica.stock_.put(*slot);
  trim(replica, retired);
  offer(replica);
}

void Capacity::set_replicas(const std::vector<std::shared_ptr<Replica>>& replicas, Retired& retired) {
  std::vector<std::shared_ptr<Replica>> before = std::exchange(members_, {});
  for (const std::shared_ptr<Replica>& replica : before) {
    choosable_.erase(*replica);
    replica->member_ = Replica::kNone;
  }
  members_.reserve(replicas.size());
  for (const std::shared_ptr<Replica>& replica : replicas) {
    if (replica->member()) continue;  // named twice
    replica->member_ = members_.size();
    members_.push_back(replica);
  }
  for (std::shared_ptr<Replica>& replica : before) {
    if (!replica->member()) {
      replica->ready_ = false;
      trim(*replica, retired);
    }
    retired.replicas.push_back(std::move(replica));
  }
  std::size_t ready = 0;
  for (const std::shared_ptr<Replica>& replica : members_) {
    if (replica->ready_) ++ready;
    offer(*replica);
  }
  count_ready(ready);
}

void Capacity::set_ready(Replica& replica, bool ready) {
  if (replica.ready_ == ready) return;
  choosable_.erase(replica);
  replica.ready_ = ready;
  if (replica.member()) count_ready(ready ? ready_ + 1 : ready_ - 1);
  offer(replica);
}

void Capacity::set_slots(Replica& replica, std::size_t slots, Retired& retired) {
  choosable_.erase(replica);
  replica.slots_max_ = slots;
  trim(replica, retired);
  offer(replica);
}

std::size_t Capacity::slots() const {
  std::size_t sum = 0;
  for (const std::shared_ptr<Replica>& replica : members_) sum += replica->slots_max_;
  return sum;
}

void Capacity::offer(Replica& replica) {
  if (replica.usable()) choosable_.insert(replica, replica.in_use_);
}

/// A replica has no more connections, in use or resting, than slots; one that is gone, or has no limit, rests none here.
void Capacity::trim(Replica& replica, Retired& retired) {
  const bool keeps = replica.member() && replica.slots_max_ > replica.in_use_;
  replica.stock_.trim(keeps ? replica.slots_max_ - replica.in_use_ : 0, retired.cargo);
}

void Capacity::count_ready(std::size_t ready) {
  if (ready_ == 0 && ready > 0) ++revivals_;
  ready_ = ready;
}

void Capacity::check() const {
#ifdef ROUTER_CHECKS
  std::size_t ready = 0;
  std::size_t in_use = 0;
  for (std::size_t index = 0; index < members_.size(); ++index) {
    const Replica& replica = *members_[index];
    ROUTER_ASSERT(replica.member_ == index);
    ROUTER_ASSERT(replica.usable() ? replica.bucket_ == replica.in_use_ : replica.bucket_ == Replica::kNone);
    if (replica.limited()) {
      ROUTER_ASSERT(replica.in_use_ + replica.stock_.resting() <= std::max(replica.slots_max_, replica.in_use_));
    } else {
      ROUTER_ASSERT(replica.stock_.resting() == 0);
    }
    ready += replica.ready_ ? 1 : 0;
    in_use += replica.in_use_;
  }
  ROUTER_ASSERT(ready == ready_);
  ROUTER_ASSERT(in_use <= leases_);
#endif
}

}  // namespace router::dispatch

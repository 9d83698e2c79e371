#include "router/dispatch/slots.h"

#include <utility>

#include "router/base/assert.h"

namespace router::dispatch {

Slot& SlotStock::take(std::size_t shard, bool may_open) {
  const std::size_t home = shard + 1;
  if (home < first_.size() && first_[home] != nullptr) return lease(*first_[home]);
  if (may_open) {
    if (!first_.empty() && first_[kBlank] != nullptr) return lease(*first_[kBlank]);
    Slot& made = slots_.emplace_back();
    made.stock_ = this;
    made.list_ = kLeased;
    return made;
  }
  std::size_t list = 1;
  while (list < first_.size() && first_[list] == nullptr) ++list;
  ROUTER_ASSERT(list < first_.size());
  return lease(*first_[list]);
}

void SlotStock::put(Slot& slot) {
  ROUTER_ASSERT(slot.stock_ == this && slot.list_ == kLeased);
  link(slot, slot.cargo ? 1 + slot.cargo->shard() : kBlank);
}

void SlotStock::trim(std::size_t keep, std::vector<std::unique_ptr<Cargo>>& retired) {
  for (std::size_t list = 1; resting_ > keep && list < first_.size();) {
    Slot* slot = first_[list];
    if (slot == nullptr) {
      ++list;
      continue;
    }
    unlink(*slot);
    retired.push_back(std::move(slot->cargo));
    link(*slot, kBlank);
  }
}

std::unique_ptr<Cargo> SlotStock::strip(Slot& slot, const Cargo* expected) {
  if (expected == nullptr || slot.list_ == kLeased || slot.cargo.get() != expected) return nullptr;
  SlotStock& stock = *slot.stock_;
  stock.unlink(slot);
  std::unique_ptr<Cargo> taken = std::move(slot.cargo);
  stock.link(slot, kBlank);
  return taken;
}

Slot& SlotStock::lease(Slot& slot) {
  unlink(slot);
  slot.list_ = kLeased;
  return slot;
}

void SlotStock::link(Slot& slot, std::size_t list) {
  if (first_.size() <= list) first_.resize(list + 1, nullptr);  // once for each shard
  slot.list_ = list;
  slot.previous_ = nullptr;
  slot.next_ = std::exchange(first_[list], &slot);
  if (slot.next_ != nullptr) slot.next_->previous_ = &slot;
  if (list != kBlank) ++resting_;
}

void SlotStock::unlink(Slot& slot) {
  (slot.previous_ != nullptr ? slot.previous_->next_ : first_[slot.list_]) = slot.next_;
  if (slot.next_ != nullptr) slot.next_->previous_ = slot.previous_;
  if (slot.list_ != kBlank) --resting_;
}

}  // namespace router::dispatch

#include "router/dispatch/slots.h"

#include <algorithm>
#include <new>
#include <utility>

#include "router/base/assert.h"

namespace router::dispatch {

SlotStock::SlotStock(std::size_t shards) : lists_(kFirstShard + shards) {}

void SlotStock::make(std::size_t slots) {
  const std::size_t wanted = std::min(slots, kMadeAhead);
  while (slots_.size() < wanted) {
    Slot& made = slots_.emplace_back();
    made.stock_ = this;
    made.list_ = kBlank;
    lists_[kBlank].push_back(made);
  }
}

Slot* SlotStock::take(std::size_t shard, bool may_open) noexcept {
  const std::size_t own_list = kFirstShard + shard;
  if (own_list < lists_.size() && !lists_[own_list].empty()) return take_first(lists_[own_list]);
  if (may_open && !lists_[kBlank].empty()) return take_first(lists_[kBlank]);
  if (may_open) {
    try {
      Slot& made = slots_.emplace_back();
      made.stock_ = this;
      made.list_ = kHeld;
      return &made;
    } catch (const std::bad_alloc&) {  // use a slot with another shard's connection instead
    }
  }
  const auto any = std::find_if(lists_.begin() + kElsewhere, lists_.end(), [](const List& list) { return !list.empty(); });
  return any == lists_.end() ? nullptr : take_first(*any);
}

void SlotStock::put(Slot& slot) noexcept {
  ROUTER_ASSERT(slot.stock_ == this && slot.list_ == kHeld);
  if (!slot.cargo) return link(slot, kBlank);
  const std::size_t shard = slot.cargo->shard();
  link(slot, kFirstShard + shard < lists_.size() ? kFirstShard + shard : kElsewhere);
}

void SlotStock::trim(std::size_t keep, CargoList& retired) noexcept {
  for (std::size_t list = kElsewhere; resting_ > keep && list < lists_.size();) {
    if (lists_[list].empty()) {
      ++list;
      continue;
    }
    Slot& slot = lists_[list].front();
    unlink(slot);
    retired.push(std::move(slot.cargo));
    link(slot, kBlank);
  }
}

std::unique_ptr<Cargo> SlotStock::strip(Slot& slot, const Cargo* expected) noexcept {
  if (expected == nullptr || slot.list_ == kHeld || slot.cargo.get() != expected) return nullptr;
  SlotStock& stock = *slot.stock_;
  stock.unlink(slot);
  std::unique_ptr<Cargo> taken = std::move(slot.cargo);
  stock.link(slot, kBlank);
  return taken;
}

Slot* SlotStock::take_first(List& list) noexcept {
  Slot& slot = list.front();
  unlink(slot);
  slot.list_ = kHeld;
  return &slot;
}

void SlotStock::link(Slot& slot, std::size_t list) noexcept {
  slot.list_ = list;
  lists_[list].push_front(slot);
  if (list != kBlank) ++resting_;
}

void SlotStock::unlink(Slot& slot) noexcept {
  List& list = lists_[slot.list_];
  list.erase(list.iterator_to(slot));
  if (slot.list_ != kBlank) --resting_;
}

}  // namespace router::dispatch

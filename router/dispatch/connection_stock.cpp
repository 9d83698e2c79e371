#include "router/dispatch/connection_stock.h"

#include <algorithm>
#include <new>
#include <utility>

#include "router/base/assert.h"

namespace router::dispatch {

ConnectionStock::ConnectionStock(std::size_t shards) : lists_(kFirstShard + shards) {}

void ConnectionStock::make(std::size_t count) {
  const std::size_t wanted = std::min(count, kMadeAhead);
  while (entries_.size() < wanted) {
    StockEntry& made = entries_.emplace_back();
    made.stock_ = this;
    made.list_ = kBlank;
    lists_[kBlank].push_back(made);
  }
}

StockEntry* ConnectionStock::take(std::size_t shard, bool may_open) noexcept {
  const std::size_t own_list = kFirstShard + shard;
  if (own_list < lists_.size() && !lists_[own_list].empty()) return take_first(lists_[own_list]);
  if (may_open && !lists_[kBlank].empty()) return take_first(lists_[kBlank]);
  if (may_open) {
    try {
      StockEntry& made = entries_.emplace_back();
      made.stock_ = this;
      made.list_ = kHeld;
      return &made;
    } catch (const std::bad_alloc&) {  // use an entry with another shard's connection instead
    }
  }
  const auto any = std::find_if(lists_.begin() + kElsewhere, lists_.end(), [](const List& list) { return !list.empty(); });
  return any == lists_.end() ? nullptr : take_first(*any);
}

void ConnectionStock::put(StockEntry& entry) noexcept {
  ROUTER_ASSERT(entry.stock_ == this && entry.list_ == kHeld);
  if (!entry.connection) return link(entry, kBlank);
  const std::size_t shard = entry.connection->shard();
  link(entry, kFirstShard + shard < lists_.size() ? kFirstShard + shard : kElsewhere);
}

void ConnectionStock::trim(std::size_t keep, RetiredConnections& retired,
                           const std::shared_ptr<LooseConnections>& loose) noexcept {
  for (std::size_t list = kElsewhere; resting_ > keep && list < lists_.size();) {
    if (lists_[list].empty()) {
      ++list;
      continue;
    }
    StockEntry& entry = lists_[list].front();
    unlink(entry);
    if (loose != nullptr) entry.connection->retired(LooseConnection(loose));
    retired.push(std::move(entry.connection));
    link(entry, kBlank);
  }
}

std::unique_ptr<StockedConnection> ConnectionStock::strip(StockEntry& entry, const StockedConnection* expected) noexcept {
  if (expected == nullptr || entry.list_ == kHeld || entry.connection.get() != expected) return nullptr;
  ConnectionStock& stock = *entry.stock_;
  stock.unlink(entry);
  std::unique_ptr<StockedConnection> taken = std::move(entry.connection);
  stock.link(entry, kBlank);
  return taken;
}

StockEntry* ConnectionStock::take_first(List& list) noexcept {
  StockEntry& entry = list.front();
  unlink(entry);
  entry.list_ = kHeld;
  return &entry;
}

void ConnectionStock::link(StockEntry& entry, std::size_t list) noexcept {
  entry.list_ = list;
  lists_[list].push_front(entry);
  if (list != kBlank) ++resting_;
}

void ConnectionStock::unlink(StockEntry& entry) noexcept {
  List& list = lists_[entry.list_];
  list.erase(list.iterator_to(entry));
  if (entry.list_ != kBlank) --resting_;
}

}  // namespace router::dispatch

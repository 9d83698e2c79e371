#pragma once

#include <boost/intrusive/list.hpp>
#include <boost/intrusive/slist.hpp>
#include <cstddef>
#include <deque>
#include <memory>
#include <vector>

#include "router/dispatch/loose_connections.h"

namespace router::dispatch {

class ConnectionStock;

/// An idle connection to a pod. This folder knows only that it must end on its own shard.
class StockedConnection {
 public:
  virtual ~StockedConnection() = default;  // any thread: what it contains is closed on its own shard
  /// The shard on which it may be used at once. Called under a mutex: it must be quick and must not wait.
  virtual std::size_t shard() const = 0;
  /// It was retired and will be destroyed. The connection keeps `loose` until it is closed. Called under a mutex, only in a
  /// fleet.
  virtual void retired(LooseConnection loose) noexcept { loose.end(); }

 private:
  friend class RetiredConnections;
  boost::intrusive::slist_member_hook<> hook_;
};

/// Owns connections that were retired under a mutex, and destroys them after that. Allocates nothing.
class RetiredConnections {
 public:
  RetiredConnections() = default;
  RetiredConnections(const RetiredConnections&) = delete;
  RetiredConnections& operator=(const RetiredConnections&) = delete;
  ~RetiredConnections() { clear(); }
  void push(std::unique_ptr<StockedConnection> connection) noexcept { list_.push_front(*connection.release()); }
  void clear() noexcept { list_.clear_and_dispose(std::default_delete<StockedConnection>()); }

 private:
  using Hook =
      boost::intrusive::member_hook<StockedConnection, boost::intrusive::slist_member_hook<>, &StockedConnection::hook_>;
  boost::intrusive::slist<StockedConnection, Hook, boost::intrusive::constant_time_size<false>> list_;
};

/// Room for one connection to a pod. `connection` belongs to the holder of the entry, or to the pod while nobody holds it. The
/// address of an entry does not change while its pod lives, so it identifies the entry.
class StockEntry {
 public:
  std::unique_ptr<StockedConnection> connection;

 private:
  friend class ConnectionStock;
  ConnectionStock* stock_ = nullptr;
  std::size_t list_ = 0;  // index of the list that contains it, or kHeld
  boost::intrusive::list_member_hook<> hook_;
};

/// The connections of one pod whose transport carries one exchange at a time: an entry for each slot. The entries that nobody
/// holds are listed by the shard of their connection. PodSlots decides how many may be held, and its mutex protects this
/// object. Only `make` may fail.
class ConnectionStock {
 public:
  /// `shards`: the number of shards that have lists of their own.
  explicit ConnectionStock(std::size_t shards);
  ConnectionStock(const ConnectionStock&) = delete;
  ConnectionStock& operator=(const ConnectionStock&) = delete;

  /// Entries beyond this number are allocated when they are first needed.
  static constexpr std::size_t kMadeAhead = 4096;
  /// Allocates entries until there are `count`, at most kMadeAhead. Throws std::bad_alloc.
  void make(std::size_t count);

  /// The number of entries with an idle connection.
  std::size_t resting() const { return resting_; }
  /// Takes an entry with a connection of `shard`; else, if `may_open`, one without; else any with a connection. nullptr: none
  /// is free, and none may be or could be allocated. That cannot happen to the first kMadeAhead entries that are held at once.
  StockEntry* take(std::size_t shard, bool may_open) noexcept;
  /// Gives an entry back, with its connection.
  void put(StockEntry& entry) noexcept;
  /// Keeps at most `keep` idle connections; moves the others to `retired`, and counts them among `loose` until they are closed.
  void trim(std::size_t keep, RetiredConnections& retired, const std::shared_ptr<LooseConnections>& loose) noexcept;
  /// Takes `expected` out of `entry`. Returns nullptr if the entry is held or contains another connection by now.
  static std::unique_ptr<StockedConnection> strip(StockEntry& entry, const StockedConnection* expected) noexcept;

 private:
  using Hook = boost::intrusive::member_hook<StockEntry, boost::intrusive::list_member_hook<>, &StockEntry::hook_>;
  using List = boost::intrusive::list<StockEntry, Hook, boost::intrusive::constant_time_size<false>>;
  static constexpr std::size_t kHeld = static_cast<std::size_t>(-1);
  static constexpr std::size_t kBlank = 0;      // no connection
  static constexpr std::size_t kElsewhere = 1;  // of any other shard
  static constexpr std::size_t kFirstShard = 2;

  void link(StockEntry& entry, std::size_t list) noexcept;
  void unlink(StockEntry& entry) noexcept;
  StockEntry* take_first(List& list) noexcept;

  std::deque<StockEntry> entries_;  // addresses are stable
  std::vector<List> lists_;
  std::size_t resting_ = 0;
};

}  // namespace router::dispatch

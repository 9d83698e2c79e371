#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <vector>

namespace router::dispatch {

class SlotStock;

/// What a slot keeps between two leases: its one connection. Known here only as something that must end on its own shard.
class Cargo {
 public:
  virtual ~Cargo() = default;  // any thread: closes what it holds on its own shard
  /// The shard on which it may be used at once. Asked under the line's mutex: it must be quick and must not wait.
  virtual std::size_t shard() const = 0;
};

/// One unit of a limited replica's concurrency. `cargo` belongs to whoever holds the slot's lease, and to the line while nobody
/// does. A slot stays where it is as long as its replica lives, so that it can be named by its address.
class Slot {
 public:
  std::unique_ptr<Cargo> cargo;

 private:
  friend class SlotStock;
  SlotStock* stock_ = nullptr;
  std::size_t list_ = 0;  // the list it is in, or kLeased
  Slot* previous_ = nullptr;
  Slot* next_ = nullptr;
};

/// The slots of one replica: those that nobody holds, listed by the shard on which their connection lives. How many may be held
/// is its owner's business; slots are made when they are first needed, and kept. Belongs to the line's mutex.
class SlotStock {
 public:
  SlotStock() = default;
  SlotStock(const SlotStock&) = delete;
  SlotStock& operator=(const SlotStock&) = delete;

  /// Free slots that keep a connection.
  std::size_t resting() const { return resting_; }
  /// A slot whose cargo lives on `shard`; else, if `may_open`, one without cargo; else any free one with cargo (there must be
  /// one).
  Slot& take(std::size_t shard, bool may_open);
  /// A leased slot is free again, with what it keeps.
  void put(Slot& slot);
  /// Leaves at most `keep` slots with cargo; what the others kept is moved to `retired`.
  void trim(std::size_t keep, std::vector<std::unique_ptr<Cargo>>& retired);
  /// Takes `expected` out of `slot`. Nothing if the slot is leased, or keeps something else by now.
  static std::unique_ptr<Cargo> strip(Slot& slot, const Cargo* expected);

 private:
  static constexpr std::size_t kLeased = static_cast<std::size_t>(-1);
  static constexpr std::size_t kBlank = 0;  // no cargo; list 1 + n: cargo of shard n

  void link(Slot& slot, std::size_t list);
  void unlink(Slot& slot);
  Slot& lease(Slot& slot);

  std::deque<Slot> slots_;    // addresses are stable
  std::vector<Slot*> first_;  // of each list
  std::size_t resting_ = 0;
};

}  // namespace router::dispatch

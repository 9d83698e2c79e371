#pragma once

#include <boost/intrusive/list.hpp>
#include <boost/intrusive/slist.hpp>
#include <cstddef>
#include <deque>
#include <memory>
#include <vector>

namespace router::dispatch {

class SlotStock;

/// What a slot keeps between two holders: its one connection. Known here only as something that must end on its own shard.
class Cargo {
 public:
  virtual ~Cargo() = default;  // any thread: closes what it holds on its own shard
  /// The shard on which it may be used at once. Asked under the queue's mutex: it must be quick and must not wait.
  virtual std::size_t shard() const = 0;

 private:
  friend class CargoList;
  boost::intrusive::slist_member_hook<> hook_;
};

/// Cargo that was retired under a mutex, to be destroyed after it. Needs no memory. Owns what is in it.
class CargoList {
 public:
  CargoList() = default;
  CargoList(const CargoList&) = delete;
  CargoList& operator=(const CargoList&) = delete;
  ~CargoList() { clear(); }
  void push(std::unique_ptr<Cargo> cargo) noexcept { list_.push_front(*cargo.release()); }
  void clear() noexcept { list_.clear_and_dispose(std::default_delete<Cargo>()); }

 private:
  using Hook = boost::intrusive::member_hook<Cargo, boost::intrusive::slist_member_hook<>, &Cargo::hook_>;
  boost::intrusive::slist<Cargo, Hook, boost::intrusive::constant_time_size<false>> list_;
};

/// One unit of a limited replica's concurrency. `cargo` belongs to whoever holds the slot, and to the queue while
/// nobody does. A slot stays where it is as long as its replica lives, so that it can be named by its address.
class Slot {
 public:
  std::unique_ptr<Cargo> cargo;

 private:
  friend class SlotStock;
  SlotStock* stock_ = nullptr;
  std::size_t list_ = 0;  // the list it is in, or kHeld
  boost::intrusive::list_member_hook<> hook_;
};

/// The slots of one replica: those that nobody holds, listed by the shard on which their connection lives. How many may be held
/// is its owner's business. Belongs to the queue's mutex. Only `make` may fail.
class SlotStock {
 public:
  /// `shards`: that have connections of their own.
  explicit SlotStock(std::size_t shards);
  SlotStock(const SlotStock&) = delete;
  SlotStock& operator=(const SlotStock&) = delete;

  /// Beyond so many, slots are made when they are first needed.
  static constexpr std::size_t kMadeAhead = 4096;
  /// Makes so many slots, at most kMadeAhead, as far as there are fewer. Throws std::bad_alloc.
  void make(std::size_t slots);

  /// Free slots that keep a connection.
  std::size_t resting() const { return resting_; }
  /// A slot whose cargo lives on `shard`; else, if `may_open`, one without cargo; else any free one with cargo. nullptr: there
  /// is none (which cannot be for the first kMadeAhead that are held at once), and no memory for another one.
  Slot* take(std::size_t shard, bool may_open) noexcept;
  /// A held slot is free again, with what it keeps.
  void put(Slot& slot) noexcept;
  /// Leaves at most `keep` slots with cargo; what the others kept is moved to `retired`.
  void trim(std::size_t keep, CargoList& retired) noexcept;
  /// Takes `expected` out of `slot`. Nothing if the slot is held, or keeps something else by now.
  static std::unique_ptr<Cargo> strip(Slot& slot, const Cargo* expected) noexcept;

 private:
  using Hook = boost::intrusive::member_hook<Slot, boost::intrusive::list_member_hook<>, &Slot::hook_>;
  using List = boost::intrusive::list<Slot, Hook, boost::intrusive::constant_time_size<false>>;
  static constexpr std::size_t kHeld = static_cast<std::size_t>(-1);
  static constexpr std::size_t kBlank = 0;      // no cargo
  static constexpr std::size_t kElsewhere = 1;  // cargo of any other shard
  static constexpr std::size_t kFirstShard = 2;

  void link(Slot& slot, std::size_t list) noexcept;
  void unlink(Slot& slot) noexcept;
  Slot* take_first(List& list) noexcept;

  std::deque<Slot> slots_;  // addresses are stable
  std::vector<List> lists_;
  std::size_t resting_ = 0;
};

}  // namespace router::dispatch

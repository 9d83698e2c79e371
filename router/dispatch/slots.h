#pragma once

#include <boost/intrusive/list.hpp>
#include <boost/intrusive/slist.hpp>
#include <cstddef>
#include <deque>
#include <memory>
#include <vector>

namespace router::dispatch {

class SlotStock;

/// What a slot contains between two holders: its one connection. This folder knows only that it must end on its own shard.
class Cargo {
 public:
  virtual ~Cargo() = default;  // any thread: what it contains is closed on its own shard
  /// The shard on which it may be used at once. Called under a mutex: it must be quick and must not wait.
  virtual std::size_t shard() const = 0;

 private:
  friend class CargoList;
  boost::intrusive::slist_member_hook<> hook_;
};

/// Owns cargo that was retired under a mutex, and destroys it after that. Allocates nothing.
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

/// One unit of the concurrency of a pod with a limit. `cargo` belongs to the holder of the slot, or to the pod while the slot
/// is free. The address of a slot does not change while its pod lives, so it identifies the slot.
class Slot {
 public:
  std::unique_ptr<Cargo> cargo;

 private:
  friend class SlotStock;
  SlotStock* stock_ = nullptr;
  std::size_t list_ = 0;  // index of the list that contains it, or kHeld
  boost::intrusive::list_member_hook<> hook_;
};

/// The slots of one pod; the free ones are listed by the shard of their connection. PodSlots decides how many may be held, and
/// its mutex protects this object. Only `make` may fail.
class SlotStock {
 public:
  /// `shards`: the number of shards that have lists of their own.
  explicit SlotStock(std::size_t shards);
  SlotStock(const SlotStock&) = delete;
  SlotStock& operator=(const SlotStock&) = delete;

  /// Slots beyond this number are allocated when they are first needed.
  static constexpr std::size_t kMadeAhead = 4096;
  /// Allocates slots until there are `slots`, at most kMadeAhead. Throws std::bad_alloc.
  void make(std::size_t slots);

  /// The number of free slots with a connection.
  std::size_t resting() const { return resting_; }
  /// Takes a slot with cargo of `shard`; else, if `may_open`, one without cargo; else any free one with cargo. nullptr: none is
  /// free, and none may be or could be allocated. That cannot happen to the first kMadeAhead slots that are held at once.
  Slot* take(std::size_t shard, bool may_open) noexcept;
  /// Makes a held slot free again, with its cargo.
  void put(Slot& slot) noexcept;
  /// Keeps at most `keep` free slots with cargo; moves the cargo of the others to `retired`.
  void trim(std::size_t keep, CargoList& retired) noexcept;
  /// Takes `expected` out of `slot`. Returns nullptr if the slot is held or contains another cargo by now.
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

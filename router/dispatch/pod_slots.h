#pragma once

#include <boost/intrusive/list.hpp>
#include <boost/intrusive/slist.hpp>
#include <cstddef>
#include <limits>
#include <memory>
#include <mutex>
#include <utility>

#include "router/dispatch/connection_stock.h"
#include "router/dispatch/loose_connections.h"

namespace router::dispatch {

class Membership;
class RequestQueue;
class PodSlots;
class Replica;

/// A replica's entry in its pod. It is a part of the replica and is protected by the pod's mutex.
class PodMember {
 private:
  friend class SlotNotices;
  friend class PodSlots;

  boost::intrusive::list_member_hook<> hook_;  // linked: it is a member
  std::weak_ptr<Replica> replica_;
  std::weak_ptr<RequestQueue> queue_;
  std::size_t slots_ = 0;     // the limit that its deployment sets; 0: no limit
  bool wants_ = false;        // its last `take` found no free slot
  std::size_t reserved_ = 0;  // slots reserved for it, until its queue takes or drops them
  boost::intrusive::slist_member_hook<> notice_hook_;
  std::shared_ptr<Replica> self_;  // keeps the replica alive while this entry is in a SlotNotices list
};

/// The holder of a PreemptibleSlot: it gives the slot up when an exchange waits for it. Each slot needs a holder of its own.
class PreemptibleHolder : public std::enable_shared_from_this<PreemptibleHolder> {
 public:
  virtual ~PreemptibleHolder() = default;
  /// An exchange waits for the slot: the holder must close its connection and give the slot back. Called at most once, on any
  /// thread, without a mutex held, possibly after the slot was given back.
  virtual void preempt() noexcept = 0;

 private:
  friend class SlotNotices;
  friend class PodSlots;

  boost::intrusive::list_member_hook<> hook_;  // linked: it holds a slot, and `preempt` was not requested yet
  boost::intrusive::slist_member_hook<> notice_hook_;
  std::shared_ptr<PreemptibleHolder> self_;  // keeps the holder alive while it is in a SlotNotices list
};

/// Notices that are collected under a mutex and delivered after it: to queues for which slots of a pod were reserved, in that
/// order, and to holders that must give up their slot. Allocates nothing.
class SlotNotices {
 public:
  SlotNotices() = default;
  SlotNotices(const SlotNotices&) = delete;
  SlotNotices& operator=(const SlotNotices&) = delete;
  ~SlotNotices() {
    preempt_holders();
    clear();
  }

  struct Notice {
    std::shared_ptr<Replica> replica;     // nullptr: no notice is left
    std::shared_ptr<RequestQueue> queue;  // nullptr: the queue was destroyed and has left its pods; it needs no notice
  };
  /// Removes and returns the first notice. A later reservation for the same replica makes a new notice. Call without a mutex.
  Notice pop() noexcept;
  /// Calls `preempt` of each holder in the list. Call without a mutex.
  void preempt_holders() noexcept;
  /// Moves the notices of `others` behind its own.
  void append(SlotNotices& others) noexcept {
    list_.splice_after(list_.last(), others.list_);
    preempted_.splice_after(preempted_.before_begin(), others.preempted_);
  }

 private:
  friend class PodSlots;
  using Hook = boost::intrusive::member_hook<PodMember, boost::intrusive::slist_member_hook<>, &PodMember::notice_hook_>;
  void clear() noexcept {
    while (pop().replica != nullptr) {
    }
  }
  boost::intrusive::slist<PodMember, Hook, boost::intrusive::constant_time_size<false>, boost::intrusive::cache_last<true>>
      list_;
  using HolderHook =
      boost::intrusive::member_hook<PreemptibleHolder, boost::intrusive::slist_member_hook<>, &PreemptibleHolder::notice_hook_>;
  boost::intrusive::slist<PreemptibleHolder, HolderHook, boost::intrusive::constant_time_size<false>> preempted_;
};

/// The slots of one pod, with the idle connections in them. Usually one replica of one queue takes slots from it. If several
/// deployments select the same pod, each of their queues has a replica for it, and all of them together get no more slots than
/// the smallest limit of these deployments.
/// The pod records a replica that finds no free slot. A slot that frees is reserved for the recorded replicas of other queues
/// first, in rotation, so that a busy queue cannot keep all slots. The reservation lasts until that queue takes or drops it.
/// In a fleet, a number of the slots is withheld: they are another router's, or nobody's yet. They count like slots that others
/// hold. A new pod withholds all of them, so that nothing begins there before the fleet has said what is free. A pod without a
/// limit has nothing to withhold. See docs/decisions/0071-what-shards-and-the-fleet-share.md.
/// Threads: any, under a short mutex. It is the innermost one: taken under a queue's mutex; while it is held, no other mutex is
/// locked, and nothing is sent or destroyed. Only `make_slots` may fail. See
/// docs/decisions/0013-pods-of-several-deployments.md.
class PodSlots {
 public:
  /// How many exchanges a connection to the pod carries at a time. Slots are counted alike; a stock with one connection for
  /// each slot is kept only for kOneExchange. Shared connections are the transport's own business.
  enum class Transport { kOneExchange, kShared };

  static constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();

  /// `shards`: the number of shards that use the slots. `membership`: nullptr without a fleet; else all slots are withheld.
  /// Throws std::bad_alloc.
  explicit PodSlots(std::size_t shards = kShards, Transport transport = Transport::kOneExchange,
                    std::shared_ptr<Membership> membership = nullptr)
      : transport_(transport),
        stock_(shards),
        withheld_(membership != nullptr ? kAll : 0),
        membership_(std::move(membership)),
        loose_(membership_ != nullptr ? std::make_shared<LooseConnections>() : nullptr) {}
  PodSlots(const PodSlots&) = delete;
  PodSlots& operator=(const PodSlots&) = delete;

  /// Allocates slots. Call before `join` or `set_slots` with that number. Throws std::bad_alloc.
  void make_slots(std::size_t slots);
  /// Adds `replica`, a member of `queue`. `slots`: the limit that its deployment sets; 0: no limit.
  void join(const std::shared_ptr<Replica>& replica, const std::weak_ptr<RequestQueue>& queue, std::size_t slots,
            RetiredConnections& retired) noexcept;
  /// Removes the replica. It may still give back slots that it holds.
  void leave(Replica& replica, RetiredConnections& retired, SlotNotices& notices) noexcept;
  void set_slots(Replica& replica, std::size_t slots, RetiredConnections& retired, SlotNotices& notices) noexcept;

  struct Taken {
    bool granted = false;
    StockEntry* entry = nullptr;  // nullptr also if granted while the pod has no limit
    std::size_t preemptible = 0;  // if not granted: slots that `preempt_holders` gets back
  };
  /// Takes a slot for a member, for use on `shard`. If none is free, the pod records that the replica wants one.
  Taken take(Replica& replica, std::size_t shard) noexcept;
  /// Gives back a slot, and clears the record that this replica wants one: its queue may call `take` again.
  void give_back(Replica& replica, StockEntry* entry, RetiredConnections& retired, SlotNotices& notices) noexcept;
  /// Takes a slot for a PreemptibleSlot, which is no member: the pod does not record that it wants one. `holder`: gives the
  /// slot up when `preempt` is called; may be nullptr.
  Taken take_preemptible(std::size_t shard, PreemptibleHolder* holder) noexcept;
  void give_back_preemptible(StockEntry* entry, PreemptibleHolder* holder, RetiredConnections& retired,
                             SlotNotices& notices) noexcept;
  /// Adds the holders of preemptible slots to `notices`, except those notified before. Called when `take` found no free slot
  /// for an exchange.
  void preempt_holders(SlotNotices& notices) noexcept;
  /// Cancels the reservations for this replica; the slots are reserved for others that want one.
  void drop_reservation(Replica& replica, SlotNotices& notices) noexcept;

  /// Takes `expected` out of a free slot, because its connection was closed. Returns false, and takes nothing, if the slot is
  /// held or keeps another connection by now.
  bool take_connection(StockEntry& entry, const StockedConnection* expected, std::unique_ptr<StockedConnection>& out);

  // --- in a fleet; control thread ---
  /// Withholds so many slots from now on; kAll: all, also after the limit has changed. If that leaves fewer than are in use,
  /// the holders keep theirs, and the holders of preemptible slots give them up. Idle connections beyond the rest are retired;
  /// slots that become free are reserved for members that want one. The caller is `RequestQueue::set_withheld`, which delivers
  /// the notices.
  void withhold(std::size_t slots, RetiredConnections& retired, SlotNotices& notices) noexcept;
  /// Whether the pod is withdrawn: it gives no slot then, also if it has no limit. Everything else as with `withhold`, which it
  /// does not change. Not only in a fleet. The caller is `RequestQueue::set_withdrawn`.
  void withdraw(bool withdrawn, RetiredConnections& retired, SlotNotices& notices) noexcept;
  /// Exchanges and probes that hold a slot, and connections that none of them uses and that are not closed yet, also those from
  /// a time without a limit. After `withhold(kAll)` the number only falls; nobody is notified of that: ask again.
  std::size_t busy() const;
  /// nullptr: no fleet.
  Membership* membership() const { return membership_.get(); }
  /// For connections that no slot counts; nullptr without a fleet.
  const std::shared_ptr<LooseConnections>& loose() const { return loose_; }

  /// Asserts the invariants that hold between two operations.
  void check() const;
  /// Slots that are held now, by exchanges of all queues and by preemptible slots.
  std::size_t in_use() const;

 private:
  friend class SlotNotices;
  static constexpr std::size_t kShards = 4;  // the default
  using Hook = boost::intrusive::member_hook<PodMember, boost::intrusive::list_member_hook<>, &PodMember::hook_>;
  using HolderHook =
      boost::intrusive::member_hook<PreemptibleHolder, boost::intrusive::list_member_hook<>, &PreemptibleHolder::hook_>;

  static constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();

  bool limited() const { return slots_ != kNoLimit; }
  bool keeps_stock() const { return limited() && transport_ == Transport::kOneExchange; }
  bool has_free() const { return in_use_ + reserved_ < slots_; }
  Taken take_free(std::size_t shard) noexcept;
  void put_back(StockEntry* entry, RetiredConnections& retired) noexcept;
  void take_back_reserved(PodMember& member) noexcept;
  /// Computes `slots_` again after `members_`, a member's limit, `withheld_` or `withdrawn_` has changed.
  void count_slots() noexcept;
  /// The same, and what follows from it.
  void change_slots(RetiredConnections& retired, SlotNotices& notices) noexcept;
  void preempt_all(SlotNotices& notices) noexcept;
  /// Reserves free slots for the members that want one, in rotation.
  void reserve_free_slots(SlotNotices& notices) noexcept;
  void trim(RetiredConnections& retired) noexcept;

  const Transport transport_;
  mutable std::mutex mutex_;
  boost::intrusive::list<PodMember, Hook> members_;  // the first one gets the next reservation
  std::size_t slots_ = kNoLimit;                     // without the withheld ones
  std::size_t in_use_ = 0;                           // held slots; more than slots_ after that was lowered
  std::size_t reserved_ = 0;                         // sum over the members
  std::size_t preemptible_ = 0;                      // slots of `in_use_` whose holders give them up on request
  boost::intrusive::list<PreemptibleHolder, HolderHook, boost::intrusive::constant_time_size<false>>
      not_preempted_;  // those of these holders that were not notified yet
  ConnectionStock stock_;
  std::size_t withheld_;
  bool withdrawn_ = false;
  const std::shared_ptr<Membership> membership_;
  const std::shared_ptr<LooseConnections> loose_;
};

}  // namespace router::dispatch

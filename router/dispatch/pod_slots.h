#pragma once

#include <boost/intrusive/list.hpp>
#include <boost/intrusive/slist.hpp>
#include <cstddef>
#include <memory>
#include <mutex>

#include "router/dispatch/slots.h"

namespace router::dispatch {

class RequestQueue;
class PodSlots;
class Replica;

/// A replica as its pod sees it. Lives in the replica, and belongs to the pod's mutex.
class PodMember {
 private:
  friend class SlotNotices;
  friend class PodSlots;

  boost::intrusive::list_member_hook<> hook_;  // linked: it is a member
  std::weak_ptr<Replica> replica_;
  std::weak_ptr<RequestQueue> queue_;
  std::size_t slots_ = 0;     // by its deployment's word
  bool wants_ = false;        // it asked in vain
  std::size_t reserved_ = 0;  // for it, until its queue has had a turn
  boost::intrusive::slist_member_hook<> notice_hook_;
  std::shared_ptr<Replica> self_;  // itself, as long as it is in somebody's list of notices
};

/// Who holds a slot (PreemptibleSlot) only as long as no exchange waits for it. A new one for each turn.
class PreemptibleHolder : public std::enable_shared_from_this<PreemptibleHolder> {
 public:
  virtual ~PreemptibleHolder() = default;
  /// An exchange waits: the turn is to be given back as soon as its connection is gone. Once at most, from any thread, without
  /// a mutex; perhaps after the turn was given back.
  virtual void preempt() noexcept = 0;

 private:
  friend class SlotNotices;
  friend class PodSlots;

  boost::intrusive::list_member_hook<> hook_;  // linked: it holds a turn, and has not been asked for it
  boost::intrusive::slist_member_hook<> notice_hook_;
  std::shared_ptr<PreemptibleHolder> self_;  // itself, as long as it is in somebody's list of those to be told
};

/// For whom slots of a pod were reserved, in other queues than the one that gave them back; in the order in which they are to
/// be told. And who is to give up a turn. Needs no memory.
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
    std::shared_ptr<Replica> replica;     // nullptr: there is none any more
    std::shared_ptr<RequestQueue> queue;  // nullptr: it is gone, has left its pods, and needs nothing
  };
  /// The first one, who is to be told now: what is reserved for it from now on is told anew. Without any mutex.
  Notice pop() noexcept;
  /// Those who are to give up a turn are told. Without any mutex.
  void preempt_holders() noexcept;
  /// Of `others`, after its own.
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

/// The slots of one pod, with the connections that rest in them. Usually one replica of one queue takes from them; if several
/// deployments show the same pod, one replica in each of their queues: then this is what keeps all of them together from having
/// more exchanges with it than it has slots. As many as the strictest of them says.
/// A replica that finds no slot is remembered, and told when there is one: it is reserved for it until its queue has had a
/// turn, so that a queue that is busier than the other cannot keep all slots to itself. Each that gives back lets the others go
/// first; these in turn. Any thread, under a short mutex of its own. It is the innermost one: taken under a queue's mutex, and
/// under it nothing else is locked, posted or destroyed. Only `make_slots` may fail. See
/// docs/decisions/0013-pods-of-several-deployments.md.
class PodSlots {
 public:
  /// For use on so many shards.
  explicit PodSlots(std::size_t shards = kShards) : stock_(shards) {}
  PodSlots(const PodSlots&) = delete;
  PodSlots& operator=(const PodSlots&) = delete;

  /// Before a member may say so many. Throws std::bad_alloc.
  void make_slots(std::size_t slots);
  /// The replica has become a member of `queue`, with that many slots by its deployment's word; 0: without limit.
  void join(const std::shared_ptr<Replica>& replica, const std::weak_ptr<RequestQueue>& queue, std::size_t slots,
            CargoList& retired) noexcept;
  /// It is none any more. It may still give back.
  void leave(Replica& replica, CargoList& retired, SlotNotices& notices) noexcept;
  void set_slots(Replica& replica, std::size_t slots, CargoList& retired, SlotNotices& notices) noexcept;

  struct Taken {
    bool granted = false;
    Slot* slot = nullptr;  // nullptr, too, while the pod is without limit
    std::size_t preemptible =
        0;  // if it is not granted: slots whose holders give them up if they are asked (`preempt_holders`)
  };
  /// A slot for a member, for use on `shard`. If there is none, the member is an heir once there is one.
  Taken take(Replica& replica, std::size_t shard) noexcept;
  /// After this the replica may ask again, and is remembered no more for having asked in vain.
  void give_back(Replica& replica, Slot* slot, CargoList& retired, SlotNotices& notices) noexcept;
  /// The same for who is no member (PreemptibleSlot), and is not remembered. `holder`: gives it up if it is asked; may be
  /// nullptr.
  Taken take_preemptible(std::size_t shard, PreemptibleHolder* holder) noexcept;
  void give_back_preemptible(Slot* slot, PreemptibleHolder* holder, CargoList& retired, SlotNotices& notices) noexcept;
  /// An exchange waits for a slot, and has asked for one in vain: holders of turns are to give them up.
  void preempt_holders(SlotNotices& notices) noexcept;
  /// Whatever is still reserved for this member goes to others.
  void drop_reservation(Replica& replica, SlotNotices& notices) noexcept;

  /// Takes `expected` out of a slot that nobody holds, because it is of no use any more (its connection was closed). False, and
  /// nothing is taken, if the slot is held or keeps something else by now.
  bool take_cargo(Slot& slot, const Cargo* expected, std::unique_ptr<Cargo>& out);

  /// Asserts what must hold between two operations.
  void check() const;
  /// Exchanges that hold a slot now, of all queues, and turns.
  std::size_t in_use() const;

 private:
  friend class SlotNotices;
  static constexpr std::size_t kShards = 4;  // unless somebody says how many
  using Hook = boost::intrusive::member_hook<PodMember, boost::intrusive::list_member_hook<>, &PodMember::hook_>;
  using HolderHook =
      boost::intrusive::member_hook<PreemptibleHolder, boost::intrusive::list_member_hook<>, &PreemptibleHolder::hook_>;

  bool has_free() const { return slots_ == 0 || in_use_ + reserved_ < slots_; }
  Taken take_free(std::size_t shard) noexcept;
  void put_back(Slot* slot, CargoList& retired) noexcept;
  void take_back_reserved(PodMember& member) noexcept;
  /// After `members_` or what they say has changed.
  void count_slots() noexcept;
  /// Free slots are reserved for members that want one, in turn.
  void reserve_free_slots(SlotNotices& notices) noexcept;
  void trim(CargoList& retired) noexcept;

  mutable std::mutex mutex_;
  boost::intrusive::list<PodMember, Hook> members_;  // whose turn it is first
  std::size_t slots_ = 0;                            // 0: without limit
  std::size_t in_use_ = 0;                           // held slots; more than slots_ after that was lowered
  std::size_t reserved_ = 0;                         // the members' sum
  std::size_t preemptible_ = 0;                      // of `in_use_`: their holders give them up if they are asked
  boost::intrusive::list<PreemptibleHolder, HolderHook, boost::intrusive::constant_time_size<false>>
      not_preempted_;  // of these
  SlotStock stock_;
};

}  // namespace router::dispatch

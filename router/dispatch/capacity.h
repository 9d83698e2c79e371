#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "router/dispatch/load_buckets.h"
#include "router/dispatch/replica.h"
#include "router/dispatch/replica_report.h"
#include "router/dispatch/retired.h"

namespace router::dispatch {

/// The replicas of a queue, and which of them have a free slot. It does not know the waiters. Protected by the queue's mutex;
/// destroys nothing itself. Only functions that say so may fail, and then they have changed nothing.
class Capacity {
 public:
  struct Taken {
    std::shared_ptr<Replica> replica;
    StockEntry* entry = nullptr;  // nullptr for a replica without limit
  };

  bool available() const { return usable() > 0; }
  /// Whether there is a slot for an exchange that is to avoid `avoided` as long as another replica serves.
  bool available_without(const Replica* avoided) const;
  /// Takes a slot of the least-loaded usable replica, for use on `shard`; of one that sheds only if there is no other. Call
  /// only if one is available (without `avoided`). Returns no replica if the pod of the chosen one has no free slot: that
  /// replica is then not usable before its pod's notice, and the caller may try again.
  Taken take(std::size_t shard, Replica* avoided = nullptr) noexcept;
  void give_back(Replica& replica, StockEntry* entry, Retired& retired) noexcept;

  /// Applies what an exchange has learned about `replica`. True: it is now ejected or refusing, and others may be readmitted.
  bool judge(Replica& replica, const ReplicaReport& report, TimePoint now) noexcept;
  void readmit(Replica& replica, TimePoint now) noexcept;
  /// Ends the shedding of replicas whose Retry-After time has passed. Returns true if the earliest of these times has passed.
  bool end_shedding(TimePoint now) noexcept { return now >= shedding_ends_ && end_due_shedding(now); }

  /// `queue` gets a notice when a pod that it shares has reserved a slot for it. Throws std::bad_alloc.
  void set_replicas(const std::vector<std::shared_ptr<Replica>>& replicas, const std::weak_ptr<RequestQueue>& queue,
                    TimePoint now, Retired& retired);
  /// Removes all replicas.
  void clear(TimePoint now, Retired& retired) noexcept { replace({}, {}, {}, now, retired); }
  void set_ready(Replica& replica, bool ready, TimePoint now) noexcept;
  /// Throws std::bad_alloc.
  void set_slots(Replica& replica, std::size_t slots, Retired& retired);
  /// The replica whose pod had no free slot at the last `take` that returned none.
  const Replica* found_full() const { return found_full_; }
  /// The pod has reserved a slot for `replica`, which is usable again.
  void use_reservation(Replica& replica) noexcept;
  /// Call if an exchange waits: adds to `notices` the holders of preemptible slots of the pods in which `take` found no free
  /// slot. Does nothing if `take` found no preemptible slot since the last call.
  void preempt_holders(SlotNotices& notices) noexcept {
    if (preempts_) preempt_all_holders(notices);
  }
  /// Slots of serving replicas that these holders give back.
  std::size_t awaited_preemptions() const { return awaited_preemptions_ == 0 ? 0 : count_awaited_preemptions(); }

  const std::vector<std::shared_ptr<Replica>>& replicas() const { return members_; }
  std::size_t ready() const { return ready_; }
  /// Replicas that are ready and not refusing; includes ejected ones.
  std::size_t reachable() const { return ready_ - refusing_; }
  /// How often the number of reachable replicas rose from zero. If none is reachable at two moments and this number is equal,
  /// none was reachable in between.
  std::uint64_t revivals() const { return revivals_; }
  std::size_t held() const { return held_; }
  std::size_t slots() const;  // sum over the replicas with a limit
  /// Slots that serve the queue: the sum over serving replicas; 0 if one of them has no limit. Computed once after each change
  /// of the replicas, since each exchange that must wait needs it.
  std::size_t serving_slots() const;
  std::size_t ejected() const { return ejected_; }
  std::size_t refusing() const { return refusing_; }

  static bool is_ready(const Replica& replica) { return replica.ready_; }
  static const Health& health(const Replica& replica) { return replica.health_; }
  static std::size_t in_use(const Replica& replica) { return replica.in_use_; }
  static bool sheds(const Replica& replica) { return replica.sheds_; }
  static bool waits_for_pod(const Replica& replica) { return replica.waits_for_pod_; }
  static std::size_t slots_of(const Replica& replica) { return replica.slots_max_; }
  /// Asserts the invariants that hold between two operations.
  void check() const;

 private:
  std::size_t usable() const { return choosable_.size() + shedding_.size(); }
  LoadBuckets& buckets(const Replica& replica) { return replica.sheds_ ? shedding_ : choosable_; }
  void withdraw(Replica& replica) noexcept { buckets(replica).erase(replica); }
  void offer(Replica& replica) noexcept;
  void reserve_loads(std::size_t replicas, std::size_t load_max);
  /// `next` must be empty, with capacity for all of `replicas`.
  void replace(std::vector<std::shared_ptr<Replica>> next, const std::vector<std::shared_ptr<Replica>>& replicas,
               const std::weak_ptr<RequestQueue>& queue, TimePoint now, Retired& retired) noexcept;
  /// Sets the numbers of ready and of refusing members.
  void count(std::size_t ready, std::size_t refusing) noexcept;
  std::size_t count_serving_slots() const;
  std::size_t count_awaited_preemptions() const;
  void preempt_all_holders(SlotNotices& notices) noexcept;
  void await_pod(Replica& replica, std::size_t preemptible) noexcept;
  /// `take` may call the replica's pod again.
  void end_wait_for_pod(Replica& replica) noexcept;
  void refuse(Replica& replica, TimePoint now) noexcept;
  void shed(Replica& replica, TimePoint until) noexcept;
  bool end_due_shedding(TimePoint now) noexcept;
  /// Never more than half of the reachable replicas are ejected: a deployment that fails as a whole is not locked out.
  bool may_eject_another() const { return 2 * (ejected_ + 1) <= reachable(); }
  /// Readmits ejected replicas until at most half of the reachable ones are ejected: first the one with the earliest end.
  void keep_half(TimePoint now) noexcept;

  std::vector<std::shared_ptr<Replica>> members_;
  LoadBuckets choosable_;
  LoadBuckets shedding_;
  std::vector<Replica*> shedders_;    // members that shed, usable or not; has capacity for all members
  TimePoint shedding_ends_ = kNever;  // the earliest end among them
  std::size_t ready_ = 0;             // members; includes ejected and refusing ones
  std::size_t ejected_ = 0;           // ready members
  std::size_t refusing_ = 0;          // ready members
  std::uint64_t revivals_ = 0;
  mutable std::optional<std::size_t> serving_slots_;  // empty: not computed since the replicas have changed
  std::size_t held_ = 0;                              // includes slots of removed replicas
  std::size_t awaited_preemptions_ = 0;               // sum over the members
  const Replica* found_full_ = nullptr;               // only compared; may be destroyed
  bool preempts_ = false;                             // holders are to be notified as soon as an exchange waits
};

}  // namespace router::dispatch

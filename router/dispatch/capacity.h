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

/// The replicas of a queue and who of them has a slot free. Knows nobody who waits. Belongs to the queue's mutex; destroys
/// nothing itself. Only what says so may fail, and has done nothing then.
class Capacity {
 public:
  struct Taken {
    std::shared_ptr<Replica> replica;
    Slot* slot = nullptr;  // nullptr for a replica without limit
  };

  bool available() const { return usable() > 0; }
  /// Whether there is a slot for an exchange that is to avoid `avoided` as long as another replica serves.
  bool available_without(const Replica* avoided) const;
  /// A slot of the least-loaded usable replica, for a user on `shard`; of one that sheds only if there is no other. Only while
  /// available (without `avoided`). No replica, if another queue has taken the pod's last slot: then that replica is not usable
  /// until its pod tells, and others may be.
  Taken take(std::size_t shard, Replica* avoided = nullptr) noexcept;
  void give_back(Replica& replica, Slot* slot, Retired& retired) noexcept;

  /// What an exchange has learned about `replica`. True: it went out for that (ejected, or refusing), and others may have come
  /// back.
  bool judge(Replica& replica, const ReplicaReport& report, TimePoint now) noexcept;
  void readmit(Replica& replica, TimePoint now) noexcept;
  /// Replicas that wanted to be left alone until now are chosen like the others again. True if there were any.
  bool end_shedding(TimePoint now) noexcept { return now >= shedding_ends_ && end_due_shedding(now); }

  /// `queue` is told when a pod that it shares with another has a slot for it. Throws std::bad_alloc.
  void set_replicas(const std::vector<std::shared_ptr<Replica>>& replicas, const std::weak_ptr<RequestQueue>& queue,
                    TimePoint now, Retired& retired);
  /// There are none any more.
  void clear(TimePoint now, Retired& retired) noexcept { replace({}, {}, {}, now, retired); }
  void set_ready(Replica& replica, bool ready, TimePoint now) noexcept;
  /// Throws std::bad_alloc.
  void set_slots(Replica& replica, std::size_t slots, Retired& retired);
  /// Its pod has set a slot aside for it.
  void use_reservation(Replica& replica) noexcept;
  /// An exchange waits: who holds a slot of a replica only as long as nobody wants it is to give it up. Once after `take` has
  /// found none because of that.
  void preempt_holders(SlotNotices& notices) noexcept {
    if (preempts_) preempt_all_holders(notices);
  }
  /// Slots of serving replicas that come back by that.
  std::size_t awaited_preemptions() const { return awaited_preemptions_ == 0 ? 0 : count_awaited_preemptions(); }

  const std::vector<std::shared_ptr<Replica>>& replicas() const { return members_; }
  std::size_t ready() const { return ready_; }
  /// Ready, and not refusing; ejected ones, too.
  std::size_t reachable() const { return ready_ - refusing_; }
  /// How often a first replica became reachable after none was: equal numbers at two moments with none reachable mean that
  /// there was none in between either.
  std::uint64_t revivals() const { return revivals_; }
  std::size_t held() const { return held_; }
  std::size_t slots() const;  // sum over the limited replicas
  /// Slots that take turns in serving the queue: of limited replicas that serve. 0 if one without limit serves, too. Counted
  /// once after a change of the replicas: whoever has to wait asks.
  std::size_t serving_slots() const;
  std::size_t ejected() const { return ejected_; }
  std::size_t refusing() const { return refusing_; }

  static bool is_ready(const Replica& replica) { return replica.ready_; }
  static const Health& health(const Replica& replica) { return replica.health_; }
  static std::size_t in_use(const Replica& replica) { return replica.in_use_; }
  static bool sheds(const Replica& replica) { return replica.sheds_; }
  static std::size_t slots_of(const Replica& replica) { return replica.slots_max_; }
  /// Asserts what must hold between two operations.
  void check() const;

 private:
  std::size_t usable() const { return choosable_.size() + shedding_.size(); }
  LoadBuckets& buckets(const Replica& replica) { return replica.sheds_ ? shedding_ : choosable_; }
  void withdraw(Replica& replica) noexcept { buckets(replica).erase(replica); }
  void offer(Replica& replica) noexcept;
  void reserve_loads(std::size_t replicas, std::size_t load_max);
  /// `next` is empty, with room for all of `replicas`.
  void replace(std::vector<std::shared_ptr<Replica>> next, const std::vector<std::shared_ptr<Replica>>& replicas,
               const std::weak_ptr<RequestQueue>& queue, TimePoint now, Retired& retired) noexcept;
  /// Sets how many members are ready, and how many of these refuse.
  void count(std::size_t ready, std::size_t refusing) noexcept;
  std::size_t count_serving_slots() const;
  std::size_t count_awaited_preemptions() const;
  void preempt_all_holders(SlotNotices& notices) noexcept;
  void await_pod(Replica& replica, std::size_t preemptible) noexcept;
  /// Its pod may be asked again.
  void end_wait_for_pod(Replica& replica) noexcept;
  void refuse(Replica& replica, TimePoint now) noexcept;
  void shed(Replica& replica, TimePoint until) noexcept;
  bool end_due_shedding(TimePoint now) noexcept;
  /// Never more than half of the reachable replicas are ejected: a deployment that fails as a whole is not locked out.
  bool may_eject_another() const { return 2 * (ejected_ + 1) <= reachable(); }
  /// As many as had to be ejected from fewer are taken back, those first whose time ends first.
  void keep_half(TimePoint now) noexcept;

  std::vector<std::shared_ptr<Replica>> members_;
  LoadBuckets choosable_;
  LoadBuckets shedding_;
  std::vector<Replica*> shedders_;    // members that shed, usable or not; has room for all members
  TimePoint shedding_ends_ = kNever;  // of the first of them
  std::size_t ready_ = 0;             // members; ejected and refusing ones, too
  std::size_t ejected_ = 0;           // ready members
  std::size_t refusing_ = 0;          // ready members
  std::uint64_t revivals_ = 0;
  mutable std::optional<std::size_t> serving_slots_;  // none: not counted since the replicas have changed
  std::size_t held_ = 0;                              // of replicas that are gone, too
  std::size_t awaited_preemptions_ = 0;               // the members' sum
  bool preempts_ = false;                             // as soon as an exchange waits
};

}  // namespace router::dispatch

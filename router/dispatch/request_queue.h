#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "router/base/result.h"
#include "router/base/time.h"
#include "router/dispatch/capacity.h"
#include "router/dispatch/event_record.h"
#include "router/dispatch/pace.h"
#include "router/dispatch/replica.h"
#include "router/dispatch/replica_report.h"
#include "router/dispatch/retry_budget.h"
#include "router/dispatch/waiter.h"
#include "router/runtime/wakeup.h"

namespace router::dispatch {

class RequestQueue;

/// A position in the order of arrival; ticket 0: at the end, as every newcomer's.
struct QueuePosition {
  std::uint64_t ticket = 0;
  std::shared_ptr<Replica> avoided;  // not bound to this one, as long as another one serves; may be nullptr
};

/// Evidence of a held slot, given back on destruction. Move-only; may be destroyed on any thread.
class HeldSlot {
 public:
  HeldSlot() = default;
  HeldSlot(HeldSlot&& other) noexcept;
  HeldSlot& operator=(HeldSlot&& other) noexcept;
  ~HeldSlot() { give_back(); }  // which cannot fail

  explicit operator bool() const { return queue_ != nullptr; }
  Replica& replica() const { return *replica_; }
  /// The slot that is held; nullptr for a replica without limit. What is left in it is found by who holds it next.
  Slot* slot() const { return slot_; }
  /// The position in the order of arrival of the exchange that holds it; from 1.
  std::uint64_t ticket() const { return ticket_; }
  /// What was learned about the replica meanwhile; counted when the held slot is given back.
  ReplicaReport& report() { return report_; }
  /// For an exchange that must give it up without having reached the replica: back to its position in the queue, but not to
  /// that replica; one that refuses is out by itself, and need not be avoided once it is back.
  QueuePosition position() const { return {ticket_, report_.outcome == ReplicaReport::Outcome::kRefused ? nullptr : replica_}; }
  void give_back() noexcept;

 private:
  friend class RequestQueue;
  HeldSlot(std::shared_ptr<RequestQueue> queue, Capacity::Taken taken, std::uint64_t ticket, TimePoint since) noexcept
      : queue_(std::move(queue)), replica_(std::move(taken.replica)), slot_(taken.slot), ticket_(ticket), since_(since) {}

  std::shared_ptr<RequestQueue> queue_;
  std::shared_ptr<Replica> replica_;
  Slot* slot_ = nullptr;
  std::uint64_t ticket_ = 0;
  TimePoint since_{};
  ReplicaReport report_;
};

struct QueueOptions {
  std::size_t length_max = 64;  // exchanges waiting, per deployment
};

/// What a queue asks for, for metrics, status and scaling.
struct Demand {
  std::size_t waiting = 0;
  TimePoint oldest{};            // arrival of the first in the queue; meaningless while nobody waits
  std::size_t slots = 0;         // of the limited replicas, ready or not
  std::size_t slots_in_use = 0;  // every held slot: also of replicas without limit, and of those that are gone
  std::size_t replicas = 0;
  std::size_t replicas_ready = 0;  // ejected and refusing ones, too
  std::size_t replicas_ejected = 0;
  std::size_t replicas_refusing = 0;
  std::uint64_t ejections = 0;  // since the queue was made
  std::uint64_t refusals = 0;   // times that a replica went out because it refused a connection; likewise
};

/// Whether a replica may be chosen, as far as exchanges with it have told.
struct Condition {
  Health::State state = Health::State::kWell;
  TimePoint asked_from{};  // unless it is well: from when on it may be asked whether it is again

  bool operator==(const Condition&) const = default;
};

/// Told that the condition of replicas may have changed: once, until somebody looks (`RequestQueue::begin_look`). By whichever
/// thread gave a held slot back, without the mutex.
class Watcher {
 public:
  virtual ~Watcher() = default;
  virtual void conditions_changed() noexcept = 0;
};

/// What a waiter that leaves is told.
struct Parting {
  bool replica_was_ready = false;  // one was ready, and did not refuse, while it waited: queue_timeout, not no_ready_replica
  bool replicas_refuse = false;    // some do, now
  HeldSlot held_slot;              // that was on its way: to be used, or given back
};

/// A position in the queue, from `RequestQueue::enter` until it has brought a held slot or a failure, or is left. Move-only;
/// dropped, it is left. On the shard of its wakeup only.
class Waiting {
 public:
  Waiting() = default;
  Waiting(Waiting&& other) noexcept : waiter_(std::exchange(other.waiter_, nullptr)) {}
  Waiting& operator=(Waiting&& other) noexcept {
    if (this != &other) {
      leave();
      waiter_ = std::exchange(other.waiter_, nullptr);
    }
    return *this;
  }
  ~Waiting() { leave(); }

  explicit operator bool() const { return waiter_ != nullptr; }
  /// What has arrived, without any lock: the held slot (once), or the failure if the queue was closed. An empty held slot:
  /// nothing yet.
  Result<HeldSlot> poll();
  /// Gives the position up (deadline passed, client gone). Takes the queue's mutex unless something has arrived. After this the
  /// wakeup is not used any more.
  Parting leave() noexcept;

 private:
  friend class RequestQueue;
  explicit Waiting(std::unique_ptr<Waiter> waiter) : waiter_(waiter.release()) {}
  Waiter* waiter_ = nullptr;
};

/// The mutex of a queue. In test builds it counts how often it was taken.
class QueueMutex {
 public:
  void lock() {
    mutex_.lock();
#ifdef ROUTER_CHECKS
    ++times_;
#endif
  }
  void unlock() { mutex_.unlock(); }
#ifdef ROUTER_CHECKS
  /// While nobody else uses the queue.
  std::size_t times() const { return times_; }
#endif

 private:
  std::mutex mutex_;
#ifdef ROUTER_CHECKS
  std::size_t times_ = 0;
#endif
};

/// The queue of one deployment: binds an exchange to a replica at the moment a slot is free, first come first served
/// (contract, section 5). Nobody waits while a slot of a serving replica (ready, not ejected, not refusing) is free, and nobody
/// overtakes who waits; but who is to avoid a replica lets others have its slots, as long as another replica serves.
/// Threads: shared by all shards (one short mutex); nothing is resumed, sent or destroyed under it. A waiter is told on its own
/// shard. Only what says so may fail for want of memory, and has done nothing then: what gives back cannot. Lives in a
/// shared_ptr, outliving tables.
class RequestQueue : public std::enable_shared_from_this<RequestQueue> {
 public:
  RequestQueue(QueueOptions options, const Clock& clock, std::shared_ptr<Watcher> watcher = nullptr)
      : clock_(clock), watcher_(std::move(watcher)), options_(options) {}
  RequestQueue(const RequestQueue&) = delete;
  RequestQueue& operator=(const RequestQueue&) = delete;
  ~RequestQueue();

  /// What `enter` came to.
  struct Entry {
    HeldSlot held_slot;  // held at once, or
    Waiting waiting;     // in the queue
  };
  /// Takes a free slot of the least-loaded ready replica if nobody waits (ties at random, a slot whose connection lives on this
  /// shard preferred), else takes a position in the queue: at the end, or the one that it had. Fails with kQueueFull (newcomers
  /// only; the queue is longer by the slots that are being given up for it), with kDeadlineUnmeetable if it would very likely
  /// still be waiting at its `deadline`, with kNoReadyReplica if the deployment has no replica at all, or with
  /// kDeploymentNotFound once closed. `wakeup` is woken when something has arrived. Takes the mutex once. Throws
  /// std::bad_alloc.
  Result<Entry> enter(runtime::Wakeup& wakeup, Deadline deadline = kNever, const QueuePosition& position = {});
  /// A slot if one is free and nobody waits, else an empty held slot: for work that nobody waits for.
  HeldSlot take_idle(runtime::Shard& shard);
  /// Whether one more second attempt may be made; counts it. Any thread.
  bool may_retry();
  /// How long who comes now is likely to wait; nothing while that is not known. Any thread.
  std::optional<Duration> expected_wait() const;

  // --- control thread; each pumps the queue ---
  void set_options(QueueOptions options);
  /// The replicas that may be chosen from now on, each not ready until `set_ready` says so. One that is gone keeps its held
  /// slots and gets nothing new; its idle connections are retired. Who waits goes on waiting, even if there is none left.
  /// Throws std::bad_alloc.
  void set_replicas(const std::vector<std::shared_ptr<Replica>>& replicas);
  void set_ready(const std::shared_ptr<Replica>& replica, bool ready);
  /// May be below what is in use; 0 = unlimited. Throws std::bad_alloc.
  void set_slots(const std::shared_ptr<Replica>& replica, std::size_t slots);
  /// An ejected or refusing replica may be chosen again.
  void readmit(const std::shared_ptr<Replica>& replica);
  Condition condition(const std::shared_ptr<Replica>& replica) const;
  /// Slots of it that this queue's exchanges hold.
  std::size_t in_use(const std::shared_ptr<Replica>& replica) const;
  /// The watcher is told of whatever happens from now on. Then `condition` tells what has happened before.
  void begin_look();
  /// The deployment was removed: every waiter is answered with kDeploymentNotFound, as is everyone who comes. Its replicas are
  /// let go. For good.
  void close();
  /// What keeps its replicas from serving, for those who are refused because of it; nullptr: nothing is known.
  void set_trouble(std::shared_ptr<const std::string> text);

  /// Any thread.
  Demand demand() const;
  /// Any thread.
  std::shared_ptr<const std::string> trouble() const;

#ifdef ROUTER_CHECKS
  void start_record();
  /// What has happened since.
  std::vector<RecordedEvent> recorded() const;
  /// How often the mutex was taken. While nobody else uses the queue.
  std::size_t locks() const { return mutex_.times(); }
#endif

 private:
  friend class HeldSlot;
  friend class PreemptibleSlot;
  friend class Waiter;
  friend class Waiting;
  class Operation;  // one operation under the mutex

  Result<HeldSlot> admit(std::size_t shard, const QueuePosition& position, TimePoint now, Deadline deadline);
  HeldSlot hold(Capacity::Taken taken, std::uint64_t ticket, const Replica* avoided, TimePoint now);
  void append(Waiter& waiter, const QueuePosition& position, TimePoint now);
  static HeldSlot held_slot_of(Waiter& waiter) noexcept;
  Parting part(Waiter& waiter) noexcept;
  void give_back(HeldSlot& held_slot) noexcept;
  void use_reservation(Replica& replica, SlotNotices& notices) noexcept;
  void record_replicas();
  static void deliver(SlotNotices& notices) noexcept;

  const Clock& clock_;
  const std::shared_ptr<Watcher> watcher_;
  mutable QueueMutex mutex_;
  QueueOptions options_;
  bool closed_ = false;
  std::uint64_t last_ticket_ = 0;
  WaitingList waiting_;
  Capacity capacity_;
  Pace pace_;
  RetryBudget retries_;
  std::shared_ptr<const std::string> trouble_;
  std::uint64_t ejections_ = 0;
  std::uint64_t refusals_ = 0;
  bool watcher_notified_ = false;  // and has not looked since
  EventRecord record_;
};

}  // namespace router::dispatch

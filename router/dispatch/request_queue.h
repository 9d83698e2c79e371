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
#include "router/dispatch/queue_load.h"
#include "router/dispatch/replica.h"
#include "router/dispatch/replica_report.h"
#include "router/dispatch/retry_budget.h"
#include "router/dispatch/waiter.h"
#include "router/runtime/wakeup.h"

namespace router::dispatch {

class RequestQueue;

/// A position in the order of arrival. Ticket 0: a new request, which goes to the end, or, if another router has sent it on, to
/// the position of its `arrival`.
struct QueuePosition {
  std::uint64_t ticket = 0;
  std::shared_ptr<Replica> avoided;  // not chosen while another replica serves; may be nullptr
  TimePoint arrival{};               // of a new request at the router that has sent it on; zero: it arrives now
  bool waking = false;               // of a request that comes back: it was held for a first replica
};

/// Evidence that an exchange holds a slot. Gives the slot back on destruction. Move-only; may be destroyed on any thread.
class HeldSlot {
 public:
  HeldSlot() = default;
  HeldSlot(HeldSlot&& other) noexcept;
  HeldSlot& operator=(HeldSlot&& other) noexcept;
  ~HeldSlot() { give_back(); }  // cannot fail

  explicit operator bool() const { return queue_ != nullptr; }
  Replica& replica() const { return *replica_; }
  /// The connection of the slot; nullptr for a replica without limit, or with shared connections. The next holder gets what is
  /// left in it.
  StockEntry* entry() const { return entry_; }
  /// What the pod's process has of a fleet; nullptr without one, or if the replica had no limit.
  Membership* membership() const { return entry_ == nullptr ? nullptr : replica_->pod()->membership(); }
  /// The position of the exchange in the order of arrival: made of the time of arrival, never 0.
  std::uint64_t ticket() const { return ticket_; }
  /// What the exchange has learned about the replica. The queue counts it when the slot is given back.
  ReplicaReport& report() { return report_; }
  /// For an exchange that did not reach the replica and returns to the queue: its old position, avoiding that replica. A
  /// refusing replica is not avoided: the queue does not choose it before it accepts a connection again.
  QueuePosition position() const { return {ticket_, report_.outcome == ReplicaReport::Outcome::kRefused ? nullptr : replica_}; }
  void give_back() noexcept;

 private:
  friend class RequestQueue;
  HeldSlot(std::shared_ptr<RequestQueue> queue, Capacity::Taken taken, std::uint64_t ticket, TimePoint since) noexcept
      : queue_(std::move(queue)), replica_(std::move(taken.replica)), entry_(taken.entry), ticket_(ticket), since_(since) {}

  std::shared_ptr<RequestQueue> queue_;
  std::shared_ptr<Replica> replica_;
  StockEntry* entry_ = nullptr;
  std::uint64_t ticket_ = 0;
  TimePoint since_{};
  ReplicaReport report_;
  bool is_copy_ = false;  // of `take_idle`
};

struct QueueOptions {
  std::size_t length_max = 64;  // exchanges waiting, per deployment
  std::size_t waking_max = 64;  // and held for a first replica
};

/// A first replica is being started, or will be once a request waits for it.
struct Awakening {
  Duration pod_start{};              // how long that is likely to take
  std::optional<TimePoint> begun{};  // nothing: it has not begun
};

/// The load of a queue and its replicas, for metrics, status and scaling.
struct Demand {
  std::size_t waiting = 0;       // without those that are held for a first replica
  std::size_t waking = 0;        // held for a first replica
  TimePoint oldest{};            // arrival of the first of both; meaningless if there is none
  std::size_t slots = 0;         // sum over the replicas with a limit, ready or not
  std::size_t slots_in_use = 0;  // all held slots, also of replicas without limit and of removed replicas
  std::size_t replicas = 0;
  std::size_t replicas_ready = 0;  // includes ejected and refusing ones
  std::size_t replicas_ejected = 0;
  std::size_t replicas_refusing = 0;
  std::uint64_t ejections = 0;  // since the queue was created
  std::uint64_t refusals = 0;   // how often a replica became refusing, since the queue was created
};

/// Whether a replica may be chosen, according to the exchanges with it.
struct Condition {
  Health::State state = Health::State::kWell;
  TimePoint asked_from{};  // if ejected or refusing: the earliest time of a probe for its readmission

  bool operator==(const Condition&) const = default;
};

/// Is notified that the condition of replicas may have changed, or that a first request is held for a first replica: once,
/// until the next `RequestQueue::begin_look`. On the thread that gave a slot back, changed the replicas or entered the queue,
/// without the mutex.
class Watcher {
 public:
  virtual ~Watcher() = default;
  virtual void conditions_changed() noexcept = 0;
};

/// The result of `Waiting::leave`.
struct Parting {
  bool replica_was_ready = false;  // while it waited, one was ready and not refusing: queue_timeout, not no_ready_replica
  bool replicas_refuse = false;    // a replica is refusing now
  HeldSlot held_slot;              // granted but not delivered yet: the caller uses it or gives it back
};

/// A position in the queue, from `RequestQueue::enter` until `poll` returns a held slot or a failure, or until `leave`.
/// Move-only; the destructor calls `leave`. Used only on the shard of its wakeup.
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
  /// Whether it is held for a first replica: it stays so until it leaves the queue, also after that replica is ready.
  bool waking() const { return waiter_ != nullptr && waiter_->waking_; }
  /// Returns, without a lock, the held slot (once), a failure if the queue was closed or its home has moved away, or an empty
  /// held slot if no result has arrived yet.
  Result<HeldSlot> poll();
  /// Gives the position up (deadline passed, client gone). Takes the queue's mutex unless a result has arrived. The wakeup is
  /// not used after this call.
  Parting leave() noexcept;

 private:
  friend class RequestQueue;
  explicit Waiting(std::unique_ptr<Waiter> waiter) : waiter_(waiter.release()) {}
  Waiter* waiter_ = nullptr;
};

/// The mutex of a queue. In test builds it counts how often it was locked.
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
  /// Call only while no other thread uses the queue.
  std::size_t times() const { return times_; }
#endif

 private:
  std::mutex mutex_;
#ifdef ROUTER_CHECKS
  std::size_t times_ = 0;
#endif
};

/// The queue of one deployment: binds an exchange to a replica at the moment a slot is free, first come first served
/// (contract, section 5). No exchange waits while a slot of a serving replica (ready, not ejected, not refusing) is free, and
/// none overtakes an earlier one. Exception: an exchange that avoids a replica does not take that replica's slots as long as
/// another replica serves; later waiters may then take that slot.
/// A request that comes while no replica is ready, but one is to be started (`set_waking`), is *held*: it waits in the same
/// order, but does not count for the queue's length, and waits as long as its caller lets it.
/// Threads: shared by all shards (one short mutex). While it is held, nothing is resumed, sent or destroyed. A waiter gets its
/// result on its own shard. Only functions that say so may fail for lack of memory, and then they have changed nothing. Owned
/// by a shared_ptr; outlives tables.
class RequestQueue : public std::enable_shared_from_this<RequestQueue> {
 public:
  RequestQueue(QueueOptions options, const Clock& clock, std::shared_ptr<Watcher> watcher = nullptr)
      : clock_(clock), watcher_(std::move(watcher)), options_(options) {}
  RequestQueue(const RequestQueue&) = delete;
  RequestQueue& operator=(const RequestQueue&) = delete;
  ~RequestQueue();

  /// The result of `enter`: exactly one of the two is set.
  struct Entry {
    HeldSlot held_slot;
    Waiting waiting;
  };
  /// Takes a free slot of the least-loaded serving replica (ties at random; a slot with a connection of this shard first). If
  /// there is none, takes a position in the queue: `position`, or the end. `wakeup` is woken when the result has arrived.
  /// Fails with kQueueFull (new requests only; the slots that probes are giving up raise the limit), kDeadlineUnmeetable (new
  /// requests only: it would very likely still wait at `deadline`), kNoReadyReplica (the deployment has no replica), kWaking
  /// (new requests only: as many are held as may be), kDeploymentNotFound (closed), or kHomeMoved. For a request that was sent
  /// on, only those that arrived before it count as the queue's length, so that it is not refused for others that came here
  /// sooner; but never more than twice the length wait. Takes the mutex once. Throws std::bad_alloc.
  Result<Entry> enter(runtime::Wakeup& wakeup, Deadline deadline = kNever, const QueuePosition& position = {});
  /// A slot if one is free and no exchange waits, else an empty held slot. For work for which no client waits: it is no load.
  HeldSlot take_idle(runtime::Shard& shard);
  /// Whether the retry budget allows one more second attempt; if so, counts it. Any thread.
  bool may_retry();
  /// How long a request that arrives now is likely to wait; no value while that is not known. Any thread.
  std::optional<Duration> expected_wait() const;
  /// Whether a request that arrives now would be held for a first replica. Any thread.
  bool wakes() const;
  /// How many are held now. Any thread.
  std::size_t waking() const;
  /// Whether a request has come since the last call that was to be held, and no other one was. Control, after a notice.
  bool take_wake();
  /// When the replica is likely to be ready that is being started, at the earliest now; no value if `set_waking` has named
  /// none. Any thread.
  std::optional<Duration> start_left() const;
  /// Brings the integrals up to now. Any thread.
  QueueIntegrals integrals();

  // --- control thread; a change of the replicas serves the waiters for which a slot is free now ---
  void set_options(QueueOptions options);
  /// Whether `integrals` counts. Off at the start.
  void set_counting(bool on);
  /// From now on, requests are held while no replica is ready; nothing: they are not. Requests that are held already stay so.
  /// Nothing at the start.
  void set_waking(std::optional<Awakening> awakening);
  /// Replaces the set of replicas. A new one is not ready before `set_ready`. A removed one gets no new exchange, its held
  /// slots stay valid, and its idle connections are retired. Waiters go on waiting, even if no replica is left. Throws
  /// std::bad_alloc.
  void set_replicas(const std::vector<std::shared_ptr<Replica>>& replicas);
  void set_ready(const std::shared_ptr<Replica>& replica, bool ready);
  /// `slots` may be less than are in use; 0: no limit. Throws std::bad_alloc.
  void set_slots(const std::shared_ptr<Replica>& replica, std::size_t slots);
  /// An ejected or refusing replica may be chosen again.
  void readmit(const std::shared_ptr<Replica>& replica);
  Condition condition(const std::shared_ptr<Replica>& replica) const;
  /// Slots of the replica that exchanges of this queue hold.
  std::size_t in_use(const std::shared_ptr<Replica>& replica) const;
  /// The next change notifies the watcher again. Call before `condition`, which returns the result of all earlier changes.
  void begin_look();
  /// The deployment was removed: every waiter, and every later `enter`, fails with kDeploymentNotFound. The replicas are
  /// removed. The queue cannot be opened again.
  void close();
  /// Whether this process serves the queue; from the start it does. Not `here`: the home of the namespace has moved to another
  /// router. Every waiter, and every later `enter`, fails with kHomeMoved, and the caller sends the request on. Held slots stay
  /// valid. Requests that come after the home has come back are served. Does nothing after `close`.
  void set_home(bool here);
  /// How many slots of the pod the fleet withholds (PodSlots::withhold). A queue that waits for one that becomes free is
  /// served.
  static void set_withheld(PodSlots& pod, std::size_t slots) noexcept;
  /// Whether the pod is withdrawn, since it is about to be removed (PodSlots::withdraw): exchanges that run there go on, none
  /// begins, and its idle connections in slots are closed. When it is withdrawn no more, queues that wait for it are served.
  static void set_withdrawn(PodSlots& pod, bool withdrawn) noexcept;
  /// Why no replica is ready, for responses with no_ready_replica; nullptr: not known.
  void set_trouble(std::shared_ptr<const std::string> text);

  /// Any thread.
  Demand demand() const;
  /// Any thread.
  std::shared_ptr<const std::string> trouble() const;

#ifdef ROUTER_CHECKS
  void start_record();
  /// The events since `start_record`.
  std::vector<RecordedEvent> recorded() const;
  /// How often the mutex was locked. Call only while no other thread uses the queue.
  std::size_t locks() const { return mutex_.times(); }
#endif

 private:
  friend class HeldSlot;
  friend class PreemptibleSlot;
  friend class Waiter;
  friend class Waiting;
  class Operation;  // one operation under the mutex
  enum class State : std::uint8_t { kServes, kHomeMoved, kClosed };

  static Failure home_moved();
  Failure why_not() const;
  bool holds() const { return awakening_.has_value() && capacity_.ready() == 0; }
  std::size_t busy() const { return capacity_.held() - copies_; }
  void count_load(TimePoint now) {
    record_.set_time(now);
    if (load_.on()) load_.advance(now, busy(), waiting_.size() - waiting_.waking());
  }
  WaitingList::Count waiting_ahead(const QueuePosition& position) const;
  Capacity::Taken take(std::size_t shard, Replica* avoided) noexcept;
  std::uint64_t ticket_for(const QueuePosition& position, TimePoint now);
  Result<HeldSlot> admit(std::size_t shard, const QueuePosition& position, TimePoint now, Deadline deadline);
  std::optional<Failure> why_no_room(const QueuePosition& position, TimePoint now, Deadline deadline) const;
  HeldSlot hold(Capacity::Taken taken, const QueuePosition& position, TimePoint now);
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
  State state_ = State::kServes;
  std::uint64_t last_ticket_ = 0;  // the highest
  std::uint64_t sent_on_ = 0;      // requests that came with an earlier arrival
  WaitingList waiting_;
  Capacity capacity_;
  std::size_t copies_ = 0;  // held slots of `take_idle`
  QueueLoad load_;
  std::optional<Awakening> awakening_;
  bool wake_ = false;  // see `take_wake`
  Pace pace_;
  RetryBudget retries_;
  std::shared_ptr<const std::string> trouble_;
  std::uint64_t ejections_ = 0;
  std::uint64_t refusals_ = 0;
  bool watcher_notified_ = false;  // since the last `begin_look`
  EventRecord record_;
};

}  // namespace router::dispatch

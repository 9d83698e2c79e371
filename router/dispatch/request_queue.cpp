#include "router/dispatch/request_queue.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>

#include "router/base/assert.h"

namespace router::dispatch {
namespace {

/// The first ticket of a request that arrived then. Tickets are nanoseconds of the clock, made unique by counting on from them.
std::uint64_t first_ticket(TimePoint arrival) {
  const std::int64_t nanoseconds = std::chrono::duration_cast<std::chrono::nanoseconds>(arrival.time_since_epoch()).count();
  return static_cast<std::uint64_t>(std::max<std::int64_t>(nanoseconds, 1));
}

}  // namespace

HeldSlot::HeldSlot(HeldSlot&& other) noexcept
    : queue_(std::move(other.queue_)),
      replica_(std::move(other.replica_)),
      entry_(std::exchange(other.entry_, nullptr)),
      ticket_(other.ticket_),
      since_(other.since_),
      report_(other.report_),
      is_copy_(other.is_copy_) {}

HeldSlot& HeldSlot::operator=(HeldSlot&& other) noexcept {
  if (this != &other) {
    give_back();
    queue_ = std::move(other.queue_);
    replica_ = std::move(other.replica_);
    entry_ = std::exchange(other.entry_, nullptr);
    ticket_ = other.ticket_;
    since_ = other.since_;
    report_ = other.report_;
    is_copy_ = other.is_copy_;
  }
  return *this;
}

void HeldSlot::give_back() noexcept {
  if (queue_ == nullptr) return;
  const std::shared_ptr<RequestQueue> queue = std::move(queue_);  // keeps the queue alive until its mutex is unlocked
  queue->give_back(*this);
  entry_ = nullptr;
  replica_.reset();
}

/// Delivers notices to holders, and one by one to queues that share a pod; each may add notices. Call without a mutex.
void RequestQueue::deliver(SlotNotices& notices) noexcept {
  for (;;) {
    notices.preempt_holders();
    const SlotNotices::Notice next = notices.pop();
    if (next.replica == nullptr) return;
    if (next.queue != nullptr) next.queue->use_reservation(*next.replica, notices);
  }
}

/// Holds the mutex for one operation. `finish` ends it: it serves the waiters for which a slot is free, unlocks, then sends the
/// results to the waiters and destroys what was retired. An operation that throws has changed nothing and needs no `finish`.
class RequestQueue::Operation {
 public:
  explicit Operation(RequestQueue& queue) noexcept : Operation(queue, queue.clock_.now()) {}
  Operation(RequestQueue& queue, TimePoint now) noexcept : queue_(queue), now_(now), lock_(queue.mutex_) {
    queue_.count_load(now_);
    if (queue_.capacity_.end_shedding(now_)) queue_.record_replicas();
  }
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;
  ~Operation() { ROUTER_ASSERT(!lock_ || std::uncaught_exceptions() > 0); }

  /// `notices`: receives the notices, and the caller delivers them; nullptr: this function delivers them.
  void finish(SlotNotices* notices = nullptr) noexcept {
    serve_waiting();
    if (!queue_.waiting_.empty()) queue_.capacity_.preempt_holders(retired_.notices);
    if (reserved_for_ != nullptr) reserved_for_->pod()->drop_reservation(*reserved_for_, retired_.notices);
    check();
    const bool notifies_watcher =
        conditions_changed_ && queue_.watcher_ != nullptr && !std::exchange(queue_.watcher_notified_, true);
    lock_.unlock();
    if (notifies_watcher) queue_.watcher_->conditions_changed();
    send_settled();
    retired_.connections.clear();
    retired_.replicas.clear();
    notices != nullptr ? notices->append(retired_.notices) : deliver(retired_.notices);
  }

  void settle(Waiter& waiter, Waiter::State state) noexcept {
    queue_.waiting_.move_to(settled_, waiter);
    waiter.state_ = state;
  }
  void refuse_waiting(Waiter::State why) noexcept {
    while (!queue_.waiting_.empty()) {
      queue_.record_.add(QueueEvent::kRefused, queue_.waiting_.first().ticket_);
      settle(queue_.waiting_.first(), why);
    }
  }
  Retired& retired() { return retired_; }
  /// `finish` returns to the pod those slots reserved for `replica` that no waiter could use.
  void reserved_for(Replica& replica) { reserved_for_ = &replica; }
  TimePoint now() const { return now_; }
  void conditions_changed() { conditions_changed_ = true; }

 private:
  void serve_waiting() noexcept {
    for (auto next = queue_.waiting_.begin(); next != queue_.waiting_.end() && queue_.capacity_.available();) {
      Waiter& waiter = *next;
      Capacity::Taken taken;
      if (queue_.capacity_.available_without(waiter.avoided_.get())) {
        taken = queue_.take(waiter.shard_.index(), waiter.avoided_.get());
        if (taken.replica == nullptr) continue;  // its pod had no slot: try another replica for this waiter
      }
      ++next;
      if (taken.replica == nullptr) continue;
      settle(waiter, Waiter::State::kGranted);
      waiter.taken_ = std::move(taken);
      waiter.granted_ = now_;
      queue_.record_.add(QueueEvent::kGranted, waiter.ticket_, waiter.taken_.replica.get());
    }
  }
  void check() {
#ifdef ROUTER_CHECKS
    if (queue_.capacity_.available()) {
      for (const Waiter& waiter : queue_.waiting_) {
        ROUTER_ASSERT(!queue_.capacity_.available_without(waiter.avoided_.get()));
      }
    }
    queue_.capacity_.check();
    queue_.record_.add(QueueEvent::kEnd);
#endif
  }
  /// A waiter that was sent belongs to its shard and may be destroyed at once.
  void send_settled() noexcept {
    while (!settled_.empty()) {
      Waiter& waiter = settled_.front();
      settled_.pop_front();
      waiter.shard_.send(waiter);
    }
  }

  RequestQueue& queue_;
  const TimePoint now_;
  Retired retired_;
  Replica* reserved_for_ = nullptr;
  bool conditions_changed_ = false;
  WaitingList::List settled_;  // granted or refused by this operation, in order
  std::unique_lock<QueueMutex> lock_;
};

RequestQueue::~RequestQueue() {
  ROUTER_ASSERT(waiting_.empty() && capacity_.held() == 0);  // each waiter and each held slot owns the queue
  Retired retired;
  capacity_.clear(clock_.now(), retired);  // the replicas may outlive this queue
  deliver(retired.notices);
}

Result<RequestQueue::Entry> RequestQueue::enter(runtime::Wakeup& wakeup, Deadline deadline, const QueuePosition& position) {
  const TimePoint now = clock_.now();
  auto waiter = std::make_unique<Waiter>(wakeup);  // allocated before the mutex is locked
  Operation operation(*this, now);
  Result<HeldSlot> held_slot = admit(wakeup.shard().index(), position, now, deadline);
  const bool waits = held_slot && !*held_slot;
  const bool wakes = holds() && waiting_.waking() == 0;  // also if it may not be held
  if (waits) append(*waiter, position, now);
  if (wakes && !std::exchange(wake_, true)) operation.conditions_changed();
  operation.finish();
  if (!held_slot) return held_slot.error();
  return waits ? Entry{HeldSlot(), Waiting(std::move(waiter))} : Entry{std::move(*held_slot), Waiting()};
}

/// Returns the held slot if one is free, an empty one if the exchange must wait, or the reason why it may not wait.
Result<HeldSlot> RequestQueue::admit(std::size_t shard, const QueuePosition& position, TimePoint now, Deadline deadline) {
  if (state_ != State::kServes) return why_not();
  if (!holds()) {
    if (capacity_.replicas().empty()) return Failure::internal(Reason::kNoReadyReplica, "the deployment has no replica");
    // No waiter can use this slot: the last `finish` has served every waiter that could.
    while (capacity_.available_without(position.avoided.get())) {
      Capacity::Taken taken = take(shard, position.avoided.get());
      if (taken.replica != nullptr) return hold(std::move(taken), position, now);
    }
  }
  if (position.ticket != 0) return HeldSlot();  // it was admitted before
  const std::optional<Failure> refused = why_no_room(position, now, deadline);
  return refused ? Result<HeldSlot>(*refused) : HeldSlot();
}

/// Why a new request may not wait. Those that are held for a first replica leave the queue's length to the others.
std::optional<Failure> RequestQueue::why_no_room(const QueuePosition& position, TimePoint now, Deadline deadline) const {
  if (holds()) {
    if (waiting_.waking() < options_.waking_max) return std::nullopt;
    return Failure::internal(Reason::kWaking, "a replica is being started, and as many requests wait for it as may");
  }
  const std::size_t comes = capacity_.awaited_preemptions();  // a request is never refused because a probe holds a slot
  const std::size_t length = waiting_.count().others();
  if (length < comes) return std::nullopt;
  const WaitingList::Count ahead = waiting_ahead(position);
  const bool is_long = ahead.others() >= comes && ahead.others() - comes >= options_.length_max;
  if (is_long || (length - comes) / 2 >= options_.length_max) {
    return Failure::internal(Reason::kQueueFull, "the queue is full");
  }
  if (deadline == kNever) return std::nullopt;
  const auto shortest = pace_.shortest_wait(ahead.all + 1, capacity_.serving_slots(), now);
  if (!shortest || now + *shortest <= deadline) return std::nullopt;
  return Failure::internal(Reason::kDeadlineUnmeetable,
                           "the request would very likely still wait in the queue at its deadline");
}

Failure RequestQueue::home_moved() {
  return Failure::internal(Reason::kHomeMoved, "another router is home of the namespace now");
}

Failure RequestQueue::why_not() const {
  return state_ == State::kClosed ? Failure::internal(Reason::kDeploymentNotFound, "the deployment was removed") : home_moved();
}

/// How many wait that a new request does not overtake.
WaitingList::Count RequestQueue::waiting_ahead(const QueuePosition& position) const {
  return position.arrival == TimePoint{} ? waiting_.count() : waiting_.before(first_ticket(position.arrival));
}

/// `avoided`: see Capacity::take.
Capacity::Taken RequestQueue::take(std::size_t shard, Replica* avoided) noexcept {
  Capacity::Taken taken = capacity_.take(shard, avoided);
  if (taken.replica == nullptr) record_.add(QueueEvent::kPodFull, 0, capacity_.found_full());
  return taken;
}

/// The ticket of a request that comes back, or a new one. One that was sent on gets that of its arrival; its lowest bits are
/// counted, so that two of one time differ.
std::uint64_t RequestQueue::ticket_for(const QueuePosition& position, TimePoint now) {
  constexpr std::uint64_t kCounted = 1023;
  if (position.ticket != 0) {
    record_.add(QueueEvent::kReturned, position.ticket, position.avoided.get());
    return position.ticket;
  }
  retries_.count_request(now);
  std::uint64_t ticket = first_ticket(position.arrival == TimePoint{} ? now : std::min(position.arrival, now));
  if (position.arrival != TimePoint{} && ticket <= last_ticket_) {
    ticket = std::max<std::uint64_t>((ticket & ~kCounted) | (++sent_on_ & kCounted), 1);
    last_ticket_ = std::max(last_ticket_, ticket);
    record_.add(QueueEvent::kSentOn, ticket);
    return ticket;
  }
  last_ticket_ = std::max(last_ticket_ + 1, ticket);
  record_.add(QueueEvent::kArrived, last_ticket_);
  return last_ticket_;
}

HeldSlot RequestQueue::hold(Capacity::Taken taken, const QueuePosition& position, TimePoint now) {
  const std::uint64_t ticket = ticket_for(position, now);
  record_.add(QueueEvent::kGranted, ticket, taken.replica.get());
  return HeldSlot(shared_from_this(), std::move(taken), ticket, now);
}

void RequestQueue::append(Waiter& waiter, const QueuePosition& position, TimePoint now) {
  waiter.state_ = Waiter::State::kWaiting;
  waiter.queue_ = shared_from_this();
  waiter.avoided_ = position.avoided;
  waiter.ticket_ = ticket_for(position, now);
  waiter.arrival_ = position.arrival == TimePoint{} ? now : std::min(position.arrival, now);
  waiter.met_reachable_ = capacity_.reachable() > 0;
  waiter.revivals_ = capacity_.revivals();
  waiter.waking_ = position.waking || holds();
  if (waiter.waking_) record_.add(QueueEvent::kWaking, waiter.ticket_);
  waiting_.insert(waiter);
}

HeldSlot RequestQueue::take_idle(runtime::Shard& shard) {
  Operation operation(*this, shard.now());
  HeldSlot idle;
  while (state_ == State::kServes && waiting_.empty() && !idle && capacity_.available()) {
    Capacity::Taken taken = take(shard.index(), nullptr);
    if (taken.replica == nullptr) continue;
    idle = hold(std::move(taken), {}, operation.now());
    idle.is_copy_ = true;
    ++copies_;
  }
  operation.finish();
  return idle;
}

bool RequestQueue::may_retry() {
  const TimePoint now = clock_.now();
  const std::lock_guard lock(mutex_);
  return retries_.take(now);
}

std::optional<Duration> RequestQueue::expected_wait() const {
  const TimePoint now = clock_.now();
  const std::lock_guard lock(mutex_);
  return pace_.expected_wait(waiting_.size() + 1, capacity_.serving_slots(), now);
}

/// Call under the mutex, or on the waiter's shard once the waiter has arrived there.
HeldSlot RequestQueue::held_slot_of(Waiter& waiter) noexcept {
  return HeldSlot(waiter.queue_, std::exchange(waiter.taken_, {}), waiter.ticket_, waiter.granted_);
}

/// Ends a waiter that has not arrived on its shard: it still waits, or its message is under way.
Parting RequestQueue::part(Waiter& waiter) noexcept {
  const std::shared_ptr<RequestQueue> queue = shared_from_this();  // keeps the queue alive until its mutex is unlocked
  Parting parting;
  bool waits = false;
  {
    const std::lock_guard lock(mutex_);
    count_load(waiter.shard_.now());
    parting.replica_was_ready = waiter.met_reachable_ || waiter.revivals_ != capacity_.revivals();
    parting.replicas_refuse = capacity_.refusing() > 0;
    waits = waiter.state_ == Waiter::State::kWaiting;
    if (waits) {
      waiting_.erase(waiter);
      record_.add(QueueEvent::kLeft, waiter.ticket_);
    }
    if (waiter.state_ == Waiter::State::kGranted) parting.held_slot = held_slot_of(waiter);
    waiter.state_ = Waiter::State::kSpent;
    waiter.left_ = true;  // if its message is under way, that frees it
    record_.add(QueueEvent::kEnd);
  }
  if (waits) delete &waiter;
  return parting;
}

void RequestQueue::give_back(HeldSlot& held_slot) noexcept {
  Operation operation(*this);
  Replica& replica = *held_slot.replica_;
  const ReplicaReport& report = held_slot.report_;
  const bool reached = report.outcome != ReplicaReport::Outcome::kFailed && report.outcome != ReplicaReport::Outcome::kRefused;
  if (reached) pace_.held_for(operation.now() - held_slot.since_, operation.now());
  if (held_slot.is_copy_) {
    --copies_;
  } else if (load_.on()) {
    load_.given_back(operation.now() - held_slot.since_);
  }
  record_.add(QueueEvent::kGivenBack, held_slot.ticket_, &replica);
  capacity_.give_back(replica, held_slot.entry_, operation.retired());
  const bool has_report = report.outcome != ReplicaReport::Outcome::kNone || report.sheds_until != TimePoint{};
  if (has_report && capacity_.judge(replica, report, operation.now())) {
    ++(Capacity::health(replica).ejected() ? ejections_ : refusals_);
    operation.conditions_changed();
  }
  if (!reached || report.sheds_until != TimePoint{}) record_replicas();
  operation.finish();
}

/// The pod of `replica`, which another queue shares, has reserved a slot for it: a waiter gets it, or it is returned to the
/// pod. Call without a mutex.
void RequestQueue::use_reservation(Replica& replica, SlotNotices& notices) noexcept {
  Operation operation(*this);
  capacity_.use_reservation(replica);
  record_.add(QueueEvent::kPodFree, 0, &replica);
  operation.reserved_for(replica);
  operation.finish(&notices);
}

void RequestQueue::set_replicas(const std::vector<std::shared_ptr<Replica>>& replicas) {
  Operation operation(*this);
  if (state_ != State::kClosed) capacity_.set_replicas(replicas, weak_from_this(), operation.now(), operation.retired());
  operation.conditions_changed();
  record_replicas();
  operation.finish();
}

void RequestQueue::set_ready(const std::shared_ptr<Replica>& replica, bool ready) {
  Operation operation(*this);
  capacity_.set_ready(*replica, ready, operation.now());
  operation.conditions_changed();
  record_replicas();
  operation.finish();
}

void RequestQueue::set_slots(const std::shared_ptr<Replica>& replica, std::size_t slots) {
  Operation operation(*this);
  capacity_.set_slots(*replica, slots, operation.retired());
  record_.add(QueueEvent::kSlots, 0, replica.get(), slots);
  operation.finish();
}

void RequestQueue::readmit(const std::shared_ptr<Replica>& replica) {
  Operation operation(*this);
  capacity_.readmit(*replica, operation.now());
  record_replicas();
  operation.finish();
}

void RequestQueue::close() {
  Operation operation(*this);
  state_ = State::kClosed;
  capacity_.clear(operation.now(), operation.retired());
  record_replicas();
  operation.refuse_waiting(Waiter::State::kRefused);
  operation.finish();
}

void RequestQueue::set_home(bool here) {
  Operation operation(*this);
  if (state_ != State::kClosed) state_ = here ? State::kServes : State::kHomeMoved;
  if (state_ == State::kHomeMoved) operation.refuse_waiting(Waiter::State::kMoved);
  operation.finish();
}

void RequestQueue::set_withheld(PodSlots& pod, std::size_t slots) noexcept {
  RetiredConnections retired;
  SlotNotices notices;
  pod.withhold(slots, retired, notices);
  deliver(notices);
}

}  // namespace router::dispatch

#include "router/dispatch/line.h"

#include <utility>

#include "router/base/assert.h"

namespace router::dispatch {

Lease::Lease(Lease&& other) noexcept
    : line_(std::move(other.line_)),
      replica_(std::move(other.replica_)),
      slot_(std::exchange(other.slot_, nullptr)),
      ticket_(other.ticket_),
      since_(other.since_),
      verdict_(other.verdict_) {}

Lease& Lease::operator=(Lease&& other) noexcept {
  if (this != &other) {
    give_back();
    line_ = std::move(other.line_);
    replica_ = std::move(other.replica_);
    slot_ = std::exchange(other.slot_, nullptr);
    ticket_ = other.ticket_;
    since_ = other.since_;
    verdict_ = other.verdict_;
  }
  return *this;
}

void Lease::give_back() {
  if (line_ == nullptr) return;
  const std::shared_ptr<Line> line = std::move(line_);  // outlives its own mutex
  line->give_back(*this);
  slot_ = nullptr;
  replica_.reset();
}

/// On its way to the shard of a waiter that was granted a slot or refused. If it is dropped instead (the shard is gone), the
/// slot goes back.
class Line::Notice {
 public:
  explicit Notice(std::shared_ptr<Waiter> waiter) : waiter_(std::move(waiter)) {}
  Notice(Notice&&) noexcept = default;
  Notice& operator=(Notice&&) = delete;
  ~Notice() {
    if (waiter_ != nullptr) waiter_->line_->part(*waiter_);
  }
  void operator()() {
    const std::shared_ptr<Waiter> waiter = std::move(waiter_);
    if (waiter->wakeup_ != nullptr) waiter->wakeup_->wake();
  }

 private:
  std::shared_ptr<Waiter> waiter_;
};

struct Line::Leave {
  std::shared_ptr<Waiter> waiter;
  void operator()(Waiter*) const { waiter->line_->part(*waiter); }
};

/// Lines that share a pod with this one, without any mutex. One that is gone has left its pods, and needs nothing.
void Line::tell_heirs(const Retired& retired) {
  for (const Heir& heir : retired.heirs) {
    const std::shared_ptr<Line> line = heir.line.lock();
    const std::shared_ptr<Replica> replica = heir.replica.lock();
    if (line != nullptr && replica != nullptr) line->receive(replica);
  }
}

/// Holds the mutex for one operation. At its end whoever can be served is, and only when the mutex is free again are the
/// waiters told, and is destroyed what was put aside.
class Line::Turn {
 public:
  explicit Turn(Line& line) : Turn(line, line.clock_.now()) {}
  Turn(Line& line, TimePoint now) : line_(line), now_(now), lock_(line.mutex_) {
    if (line_.capacity_.end_shedding(now_)) line_.record_replicas();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() {
    serve_waiting();
    if (received_ != nullptr) received_->pod()->decline(*received_, retired_);
    check();
    tells_watcher_ = conditions_changed_ && line_.watcher_ != nullptr && !std::exchange(line_.watcher_told_, true);
    lock_.unlock();
    tell();
  }

  void settle(Waiter& waiter, Waiter::State state) {
    line_.waiting_.erase(waiter);
    waiter.state_ = state;
    std::shared_ptr<Waiter> kept = waiter.shared_from_this();
    (last_ != nullptr ? last_->settled_next_ : first_) = std::move(kept);
    last_ = &waiter;
  }
  Retired& retired() { return retired_; }
  /// What is set aside for it goes back to its pod if nobody could use it.
  void received(std::shared_ptr<Replica> replica) { received_ = std::move(replica); }
  TimePoint now() const { return now_; }
  void conditions_changed() { conditions_changed_ = true; }

 private:
  void serve_waiting() {
    Waiter* next = line_.waiting_.first();
    while (next != nullptr && line_.capacity_.available()) {
      Waiter& waiter = *next;
      Capacity::Taken taken;
      if (line_.capacity_.available_without(waiter.avoided_.get())) {
        taken = line_.capacity_.take(waiter.shard_.index(), waiter.avoided_.get());
        if (taken.replica == nullptr) continue;  // there is one less to choose from
      }
      next = WaitingList::next(waiter);
      if (taken.replica == nullptr) continue;
      settle(waiter, Waiter::State::kGranted);
      waiter.taken_ = std::move(taken);
      waiter.granted_ = now_;
      line_.record_.add(LineEvent::kGranted, waiter.ticket_, waiter.taken_.replica.get());
    }
  }
  void check() {
#ifdef ROUTER_CHECKS
    const Waiter* waiter = line_.capacity_.available() ? line_.waiting_.first() : nullptr;
    for (; waiter != nullptr; waiter = WaitingList::next(*waiter)) {
      ROUTER_ASSERT(!line_.capacity_.available_without(waiter->avoided_.get()));
    }
    line_.capacity_.check();
    line_.record_.add(LineEvent::kEnd);
#endif
  }
  void tell() {
    if (tells_watcher_) line_.watcher_->conditions_changed();
    while (first_ != nullptr) {
      std::shared_ptr<Waiter> waiter = std::move(first_);
      first_ = std::move(waiter->settled_next_);
      runtime::Shard& shard = waiter->shard_;
      shard.post(Notice(std::move(waiter)));
    }
    tell_heirs(retired_);
  }

  Line& line_;
  const TimePoint now_;
  Retired retired_;
  std::shared_ptr<Replica> received_;
  bool conditions_changed_ = false;
  bool tells_watcher_ = false;
  std::shared_ptr<Waiter> first_;  // settled by this operation, in order
  Waiter* last_ = nullptr;
  std::unique_lock<std::mutex> lock_;
};

Line::~Line() {
  ROUTER_ASSERT(waiting_.empty() && capacity_.leases() == 0);  // each of them holds the line
  Retired retired;
  capacity_.set_replicas({}, {}, clock_.now(), retired);  // they may outlive this line
  tell_heirs(retired);
}

Result<Line::Entry> Line::enter(runtime::Wakeup& wakeup, Deadline deadline, const Place& place) {
  const std::size_t shard = wakeup.shard().index();
  const TimePoint now = clock_.now();
  {
    Turn turn(*this, now);
    Result<Lease> lease = admit(shard, place, now, deadline);
    if (!lease) return lease.error();
    if (*lease) return Entry{std::move(*lease), nullptr};
  }
  // It must wait. What that needs is made without the mutex; then it arrives.
  const auto waiter = std::make_shared<Waiter>(shared_from_this(), wakeup, place.avoided);
  std::shared_ptr<Waiter> handle(waiter.get(), Leave{waiter});
  Turn turn(*this, now);
  Result<Lease> lease = admit(shard, place, now, deadline);
  if (!lease) return lease.error();
  if (*lease) return Entry{std::move(*lease), nullptr};
  await_turn(*waiter, place, now);
  return Entry{Lease(), std::move(handle)};
}

/// The lease if it can be had at once, an empty one if the exchange must wait, or why it may not.
Result<Lease> Line::admit(std::size_t shard, const Place& place, TimePoint now, Deadline deadline) {
  if (closed_) return Failure::internal(Reason::kDeploymentNotFound, "the deployment was removed");
  if (capacity_.replicas().empty()) return Failure::internal(Reason::kNoReadyReplica, "the deployment has no replica");
  while (capacity_.available_without(place.avoided.get())) {  // then nobody waits who could have it
    Capacity::Taken taken = capacity_.take(shard, place.avoided.get());
    if (taken.replica != nullptr) return lease(std::move(taken), place.ticket, place.avoided.get(), now);
  }
  if (place.ticket != 0) return Lease();  // it was let in before
  if (waiting_.size() >= options_.length_max) return Failure::internal(Reason::kQueueFull, "the line is full");
  if (deadline != kNever) {
    const auto shortest = pace_.shortest_wait(waiting_.size() + 1, capacity_.serving_slots(), now);
    if (shortest && now + *shortest > deadline) {
      return Failure::internal(Reason::kDeadlineUnmeetable, "the line is too long to be served within the request's patience");
    }
  }
  return Lease();
}

/// For a newcomer (`ticket` 0) or for one who has a ticket.
Lease Line::lease(Capacity::Taken taken, std::uint64_t ticket, const Replica* avoided, TimePoint now) {
  if (ticket == 0) {
    ticket = ++last_ticket_;
    retries_.count_request(now);
    record_.add(LineEvent::kArrived, ticket);
  } else {
    record_.add(LineEvent::kReturned, ticket, avoided);
  }
  record_.add(LineEvent::kGranted, ticket, taken.replica.get());
  return Lease(shared_from_this(), std::move(taken), ticket, now);
}

void Line::await_turn(Waiter& waiter, const Place& place, TimePoint now) {
  waiter.state_ = Waiter::State::kWaiting;
  waiter.ticket_ = place.ticket;
  waiter.arrival_ = now;
  waiter.met_ready_ = capacity_.reachable() > 0;
  waiter.revivals_ = capacity_.revivals();
  if (place.ticket == 0) {
    waiter.ticket_ = ++last_ticket_;
    retries_.count_request(now);
    record_.add(LineEvent::kArrived, waiter.ticket_);
  } else {
    record_.add(LineEvent::kReturned, waiter.ticket_, waiter.avoided_.get());
  }
  waiting_.insert(waiter);
}

Lease Line::take_idle(runtime::Shard& shard) {
  Turn turn(*this, shard.now());
  if (closed_ || !waiting_.empty()) return {};
  while (capacity_.available()) {
    Capacity::Taken taken = capacity_.take(shard.index());
    if (taken.replica != nullptr) return lease(std::move(taken), 0, nullptr, turn.now());
  }
  return {};
}

bool Line::may_retry() {
  const TimePoint now = clock_.now();
  const std::lock_guard lock(mutex_);
  return retries_.take(now);
}

std::optional<Duration> Line::expected_wait() const {
  const TimePoint now = clock_.now();
  const std::lock_guard lock(mutex_);
  return pace_.expected_wait(waiting_.size() + 1, capacity_.serving_slots(), now);
}

Line::Parting Line::part(Waiter& waiter) {
  waiter.wakeup_ = nullptr;
  Turn turn(*this);
  Parting parting;
  parting.replica_was_ready = waiter.met_ready_ || waiter.revivals_ != capacity_.revivals();
  parting.replicas_refuse = capacity_.refusing() > 0;
  if (waiter.state_ == Waiter::State::kWaiting) {
    waiting_.erase(waiter);
    waiter.state_ = Waiter::State::kCancelled;
    record_.add(LineEvent::kLeft, waiter.ticket_);
  } else if (waiter.state_ == Waiter::State::kGranted) {
    waiter.state_ = Waiter::State::kCancelled;
    Capacity::Taken taken = std::exchange(waiter.taken_, {});
    record_.add(LineEvent::kGivenBack, waiter.ticket_, taken.replica.get());
    capacity_.give_back(*taken.replica, taken.slot, turn.retired());
    turn.retired().replicas.push_back(std::move(taken.replica));
  }
  return parting;
}

Result<Lease> Line::poll(const std::shared_ptr<Waiter>& waiter) {
  Line& line = *waiter->line_;
  const std::lock_guard lock(line.mutex_);
  switch (waiter->state_) {
    case Waiter::State::kNew:
    case Waiter::State::kWaiting: return Lease();
    case Waiter::State::kGranted:
      waiter->state_ = Waiter::State::kTaken;
      waiter->wakeup_ = nullptr;
      return Lease(waiter->line_, std::exchange(waiter->taken_, {}), waiter->ticket_, waiter->granted_);
    case Waiter::State::kRefused:
      waiter->wakeup_ = nullptr;
      return Failure::internal(Reason::kDeploymentNotFound, "the deployment was removed while the request waited");
    case Waiter::State::kTaken:
    case Waiter::State::kCancelled: break;
  }
  return Failure::internal(Reason::kInternal, "the exchange is not in line any more");
}

void Line::give_back(Lease& lease) {
  Turn turn(*this);
  Replica& replica = *lease.replica_;
  const Verdict& verdict = lease.verdict_;
  const bool reached = verdict.outcome != Verdict::Outcome::kFailed && verdict.outcome != Verdict::Outcome::kRefused;
  if (reached) pace_.held_for(turn.now() - lease.since_, turn.now());
  record_.add(LineEvent::kGivenBack, lease.ticket_, &replica);
  capacity_.give_back(replica, lease.slot_, turn.retired());
  if (verdict.outcome == Verdict::Outcome::kNone && verdict.sheds_until == TimePoint{}) return;
  if (capacity_.judge(replica, verdict, turn.now())) {
    ++(Capacity::health(replica).ejected() ? ejections_ : refusals_);
    turn.conditions_changed();
  }
  if (!reached || verdict.sheds_until != TimePoint{}) record_replicas();
}

void Line::receive(const std::shared_ptr<Replica>& replica) {
  Turn turn(*this);
  capacity_.receive(*replica);
  turn.received(replica);
}

void Line::set_options(LineOptions options) {
  Turn turn(*this);
  options_ = options;
}

void Line::set_replicas(const std::vector<std::shared_ptr<Replica>>& replicas) {
  Turn turn(*this);
  if (closed_) return;
  capacity_.set_replicas(replicas, weak_from_this(), turn.now(), turn.retired());
  turn.conditions_changed();
  record_replicas();
}

void Line::set_ready(const std::shared_ptr<Replica>& replica, bool ready) {
  Turn turn(*this);
  capacity_.set_ready(*replica, ready, turn.now());
  turn.conditions_changed();
  record_replicas();
}

void Line::set_slots(const std::shared_ptr<Replica>& replica, std::size_t slots) {
  Turn turn(*this);
  capacity_.set_slots(*replica, slots, turn.retired());
  record_.add(LineEvent::kSlots, 0, replica.get(), slots);
}

void Line::readmit(const std::shared_ptr<Replica>& replica) {
  Turn turn(*this);
  capacity_.readmit(*replica, turn.now());
  record_replicas();
}

Condition Line::condition(const std::shared_ptr<Replica>& replica) const {
  const std::lock_guard lock(mutex_);
  const Health& health = Capacity::health(*replica);
  return health.well() ? Condition{} : Condition{health.state(), health.asked_from()};
}

void Line::begin_look() {
  const std::lock_guard lock(mutex_);
  watcher_told_ = false;
}

void Line::close() {
  Turn turn(*this);
  closed_ = true;
  capacity_.set_replicas({}, {}, turn.now(), turn.retired());
  record_replicas();
  while (!waiting_.empty()) {
    record_.add(LineEvent::kRefused, waiting_.first()->ticket_);
    turn.settle(*waiting_.first(), Waiter::State::kRefused);
  }
}

Demand Line::demand() const {
  const std::lock_guard lock(mutex_);
  Demand demand;
  demand.waiting = waiting_.size();
  if (!waiting_.empty()) demand.oldest = waiting_.first()->arrival_;
  demand.slots = capacity_.slots();
  demand.slots_in_use = capacity_.leases();
  demand.replicas = capacity_.replicas().size();
  demand.replicas_ready = capacity_.ready();
  demand.replicas_ejected = capacity_.ejected();
  demand.replicas_refusing = capacity_.refusing();
  demand.ejections = ejections_;
  demand.refusals = refusals_;
  return demand;
}

namespace {

LineEvent event_of(Health::State state) {
  switch (state) {
    case Health::State::kWell: break;
    case Health::State::kEjected: return LineEvent::kEjected;
    case Health::State::kRefusing: return LineEvent::kRefusing;
  }
  return LineEvent::kReadmitted;
}

}  // namespace

void Line::record_replicas() {
  record_.add(LineEvent::kCleared);
  for (const std::shared_ptr<Replica>& replica : capacity_.replicas()) {
    record_.add(LineEvent::kMember, 0, replica.get(), Capacity::slots_of(*replica));
    record_.add(Capacity::is_ready(*replica) ? LineEvent::kReady : LineEvent::kUnready, 0, replica.get());
    record_.add(event_of(Capacity::health(*replica).state()), 0, replica.get());
    record_.add(Capacity::sheds(*replica) ? LineEvent::kSheds : LineEvent::kWilling, 0, replica.get());
  }
}

#ifdef ROUTER_CHECKS
void Line::start_record() {
  const std::lock_guard lock(mutex_);
  record_.start();
  record_replicas();
}

std::vector<RecordedEvent> Line::recorded() const {
  const std::lock_guard lock(mutex_);
  return record_.events();
}
#endif

}  // namespace router::dispatch

#include <algorithm>
#include <utility>

#include "router/dispatch/request_queue.h"

/// What control reads of a queue, and what it sets without an effect on those that wait.
namespace router::dispatch {

void RequestQueue::set_options(QueueOptions options) {
  const std::lock_guard lock(mutex_);
  options_ = options;
}

void RequestQueue::set_counting(bool on) {
  const TimePoint now = clock_.now();
  const std::lock_guard lock(mutex_);
  count_load(now);
  if (on != load_.on()) load_.switch_to(on, now);
}

QueueIntegrals RequestQueue::integrals() {
  const TimePoint now = clock_.now();
  const std::lock_guard lock(mutex_);
  count_load(now);
  return load_.sums();
}

void RequestQueue::set_waking(std::optional<Awakening> awakening) {
  const std::lock_guard lock(mutex_);
  awakening_ = awakening;
}

bool RequestQueue::wakes() const {
  const std::lock_guard lock(mutex_);
  return state_ != State::kClosed && holds();
}

std::size_t RequestQueue::waking() const {
  const std::lock_guard lock(mutex_);
  return waiting_.waking();
}

bool RequestQueue::take_wake() {
  const std::lock_guard lock(mutex_);
  return std::exchange(wake_, false);
}

std::optional<Duration> RequestQueue::start_left() const {
  const TimePoint now = clock_.now();
  const std::lock_guard lock(mutex_);
  if (!awakening_) return std::nullopt;
  const Duration elapsed = awakening_->begun ? now - *awakening_->begun : Duration{};
  return std::max(awakening_->pod_start - elapsed, Duration{});
}

Condition RequestQueue::condition(const std::shared_ptr<Replica>& replica) const {
  const std::lock_guard lock(mutex_);
  const Health& health = Capacity::health(*replica);
  return health.well() ? Condition{} : Condition{health.state(), health.asked_from()};
}

std::size_t RequestQueue::in_use(const std::shared_ptr<Replica>& replica) const {
  const std::lock_guard lock(mutex_);
  return Capacity::in_use(*replica);
}

void RequestQueue::begin_look() {
  const std::lock_guard lock(mutex_);
  watcher_notified_ = false;
}

void RequestQueue::set_trouble(std::shared_ptr<const std::string> text) {
  const std::lock_guard lock(mutex_);
  trouble_.swap(text);
}

std::shared_ptr<const std::string> RequestQueue::trouble() const {
  const std::lock_guard lock(mutex_);
  return trouble_;
}

Demand RequestQueue::demand() const {
  const std::lock_guard lock(mutex_);
  Demand demand;
  demand.waiting = waiting_.count().others();
  demand.waking = waiting_.waking();
  if (!waiting_.empty()) demand.oldest = waiting_.first().arrival_;
  demand.slots = capacity_.slots();
  demand.slots_in_use = capacity_.held();
  demand.replicas = capacity_.replicas().size();
  demand.replicas_ready = capacity_.ready();
  demand.replicas_ejected = capacity_.ejected();
  demand.replicas_refusing = capacity_.refusing();
  demand.ejections = ejections_;
  demand.refusals = refusals_;
  return demand;
}

namespace {

QueueEvent event_of(Health::State state) {
  switch (state) {
    case Health::State::kWell: break;
    case Health::State::kEjected: return QueueEvent::kEjected;
    case Health::State::kRefusing: return QueueEvent::kRefusing;
  }
  return QueueEvent::kReadmitted;
}

}  // namespace

void RequestQueue::record_replicas() {
  record_.add(QueueEvent::kCleared);
  for (const std::shared_ptr<Replica>& replica : capacity_.replicas()) {
    record_.add(QueueEvent::kMember, 0, replica.get(), Capacity::slots_of(*replica));
    record_.add(Capacity::is_ready(*replica) ? QueueEvent::kReady : QueueEvent::kUnready, 0, replica.get());
    record_.add(event_of(Capacity::health(*replica).state()), 0, replica.get());
    record_.add(Capacity::sheds(*replica) ? QueueEvent::kSheds : QueueEvent::kWilling, 0, replica.get());
    record_.add(Capacity::waits_for_pod(*replica) ? QueueEvent::kPodFull : QueueEvent::kPodFree, 0, replica.get());
  }
}

#ifdef ROUTER_CHECKS
void RequestQueue::start_record() {
  const std::lock_guard lock(mutex_);
  record_.start();
  record_replicas();
}

std::vector<RecordedEvent> RequestQueue::recorded() const {
  const std::lock_guard lock(mutex_);
  return record_.events();
}
#endif

}  // namespace router::dispatch

#include <utility>

#include "router/dispatch/request_queue.h"

/// The waiter's side of a queue, on its shard.
namespace router::dispatch {

/// Runs on the waiter's shard once the waiter is granted or refused.
void Waiter::run() {
  if (left_) {
    delete this;
    return;
  }
  arrived_ = true;
  wakeup_->wake();
}

/// The shard has ended before the message ran: a granted slot is given back. If the exchange has not left yet, its `leave`
/// frees the waiter.
void Waiter::dropped() noexcept {
  const HeldSlot goes_back = state_ == State::kGranted ? RequestQueue::held_slot_of(*this) : HeldSlot();
  state_ = State::kSpent;
  arrived_ = true;
  if (left_) delete this;
}

Result<HeldSlot> Waiting::poll() {
  if (waiter_ == nullptr) return Failure::internal(Reason::kInternal, "the exchange is not in the queue any more");
  if (!waiter_->arrived_) return HeldSlot();
  switch (std::exchange(waiter_->state_, Waiter::State::kSpent)) {
    case Waiter::State::kGranted: return RequestQueue::held_slot_of(*waiter_);
    case Waiter::State::kRefused:
      return Failure::internal(Reason::kDeploymentNotFound, "the deployment was removed while the request waited");
    case Waiter::State::kMoved: return RequestQueue::home_moved();
    case Waiter::State::kNew:
    case Waiter::State::kWaiting:
    case Waiter::State::kSpent: break;
  }
  return Failure::internal(Reason::kInternal, "the exchange is not in the queue any more");
}

Parting Waiting::leave() noexcept {
  Waiter* waiter = std::exchange(waiter_, nullptr);
  if (waiter == nullptr) return {};
  if (!waiter->arrived_) return waiter->queue_->part(*waiter);
  Parting parting;
  if (waiter->state_ == Waiter::State::kGranted) parting.held_slot = RequestQueue::held_slot_of(*waiter);
  delete waiter;
  return parting;
}

}  // namespace router::dispatch

#include "router/proxy/attempt.h"

#include <utility>

#include "router/base/assert.h"

namespace router::proxy {

using dispatch::ReplicaReport;
using stream::Progress;
using upstream::Leaving;

void Attempt::hold(dispatch::HeldSlot slot) {
  ROUTER_ASSERT(settled());
  slot_ = std::move(slot);
  fresh_ = false;
  state_ = State::kHeld;
}

dispatch::QueuePosition Attempt::give_slot_up() {
  if (state_ == State::kNone) {
    ROUTER_ASSERT(ticket_ != 0);
    dispatch::QueuePosition position;
    position.ticket = ticket_;
    return position;
  }
  ROUTER_ASSERT(state_ == State::kHeld);
  dispatch::QueuePosition position = slot_.position();
  give_slot_back();
  state_ = State::kNone;
  return position;
}

Task<Result<void>> Attempt::open(upstream::OpenOptions options, runtime::Wakeup& wakeup, stream::Cancellation& cancellation) {
  ROUTER_ASSERT(state_ == State::kHeld);
  options.fresh = fresh_;
  abort_wait_ = options.abort_wait;
  sent_ = {};
  if (dispatch::Membership* membership = slot_.membership(); membership != nullptr) [[unlikely]] {
    ticket_ = slot_.ticket();
    covered_.emplace(*membership, wakeup, cancellation);
    if (!covered_->may_begin()) co_return uncovered();
  }
  Result<std::unique_ptr<upstream::UpstreamExchange>> opened =
      co_await upstream::open(slot_, options, wakeup, unless_cut(cancellation));
  if (!opened) {
    covered_.reset();
    if (!slot_) state_ = State::kNone;
    if (slot_) slot_.report().outcome = upstream::outcome_of(opened.error());
    co_return opened.error();
  }
  if (covered_ && !covered_->may_begin()) {  // time has passed meanwhile
    (*opened)->leave(Leaving::kReset);
    co_return uncovered();
  }
  upstream_ = std::move(*opened);
  state_ = State::kOpen;
  co_return boost::system::in_place_value;
}

upstream::UpstreamExchange& Attempt::begin_sending() {
  ROUTER_ASSERT(state_ == State::kOpen);
  state_ = State::kSending;
  return *upstream_;
}

void Attempt::begin_answering(TimePoint sheds_until) {
  ROUTER_ASSERT(state_ == State::kSending);
  slot_.report().sheds_until = sheds_until;
  state_ = State::kAnswering;
}

void Attempt::finish() {
  ROUTER_ASSERT(state_ == State::kSending || state_ == State::kAnswering);
  upstream_->leaving() == Leaving::kReusable ? end(Leaving::kReusable) : give_up();
}

void Attempt::succeed() {
  slot_.report().outcome = ReplicaReport::Outcome::kSucceeded;
  finish();
}

void Attempt::start_over() {
  ROUTER_ASSERT(state_ == State::kSending);
  upstream_->leave(Leaving::kReset);
  upstream_.reset();
  fresh_ = true;
  state_ = State::kHeld;
}

void Attempt::blame_replica_for(const Failure& failure) {
  if (upstream::blames_replica(failure)) report_failed();
}

void Attempt::give_up() {
  if (settled() || state_ == State::kSettling) return;
  if (state_ == State::kHeld) {
    give_slot_back();
    state_ = State::kSettled;
    return;
  }
  upstream_->leave(Leaving::kClose);
  settles_by_ = deadline_after(shard_.now(), abort_wait_);
  state_ = State::kSettling;
}

Progress Attempt::settle() {
  if (state_ != State::kSettling) return Progress::kEnded;
  const Progress progress = upstream_->leave(Leaving::kClose);
  if (progress != Progress::kEnded && shard_.now() < settles_by_) return progress;
  outlived_ = progress != Progress::kEnded;
  end(Leaving::kReset);
  return Progress::kEnded;
}

void Attempt::end(Leaving how) {
  const std::unique_ptr<upstream::UpstreamExchange> ended = std::move(upstream_);  // whatever happens, it ends here
  settles_by_ = kNever;
  state_ = State::kSettled;
  ended->leave(how);
  give_slot_back();
}

void Attempt::give_slot_back() {
  covered_.reset();
  slot_.give_back();
}

void Attempt::arm() {
  if (state_ == State::kSettling) upstream_->arm_read();
}

}  // namespace router::proxy

#include "router/proxy/exchange.h"

#include <exception>
#include <new>

#include "router/base/log.h"
#include "router/proxy/drain_answer.h"
#include "router/proxy/gather.h"
#include "router/proxy/heads.h"
#include "router/proxy/own_answers.h"
#include "router/proxy/relay.h"
#include "router/proxy/request_ids.h"
#include "router/proxy/server.h"

namespace router::proxy {

/// An exception is a bug in the router or a shortage of memory. It ends this exchange and no other.
Failure failure_of(const std::exception& error) noexcept {
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) {
    log::error("memory is short: an exchange was ended");
    return Failure::internal(Reason::kInternal, "the router ran short of memory");
  }
  log::error(error.what());
  log::error("our bug: an exception ended an exchange");
  return Failure::internal(Reason::kInternal, "the router failed");
}

Task<void> run_exchange(ShardServer& server, Downstream& downstream, runtime::Wakeup& wakeup) {
  if (is_answered_here(downstream.head())) co_return co_await answer_here(server, downstream, wakeup);
  Exchange exchange(server, downstream, wakeup);
  Result<void> answered = boost::system::in_place_value;
  try {
    answered = co_await exchange.answer();
  } catch (const std::exception& error) {
    answered = failure_of(error);
  }
  exchange.mirror_copy().reset();  // a request that is not complete by now is not mirrored
  if (!answered) exchange.refuse(answered.error());
  const Duration send_timeout = exchange.view().limits.send_timeout;
  const Settled settled = co_await settle(downstream, exchange.attempt(), wakeup, send_timeout, exchange.ended());
  exchange.report(settled);
}

/// The steps of one exchange, in order: each step needs the result of the step before it. A second attempt is made only where
/// the contract (section 6) allows it: in another slot if the replica could not be reached, or over a new connection if the
/// reused connection had ended before the pod acted on the request. In a fleet, an attempt that may not begin now goes back to
/// the queue.
Task<Result<void>> Exchange::answer() {
  if (const Result<void> admitted = admit(); !admitted) co_return admitted.error();
  note_arrival();
  if (member_ == nullptr && gathers_first(downstream_)) {  // a slow sender holds no slot
    if (const Result<void> gathered = co_await gather(*this); !gathered) co_return gathered.error();
  }
  for (bool moved = false;; moved = true) {
    if (moved || home_is_elsewhere()) {
      const Result<void> sent = co_await reach_home(moved);
      if (sent || member_ != nullptr || sent.error().reason != Reason::kHomeMoved) co_return sent;
      if (const Result<void> admitted = come_home(); !admitted) co_return admitted.error();
      if (home_is_elsewhere()) continue;
    }
    Result<void> held = co_await wait_for_slot();
    while (held) {
      const Result<void> opened = co_await open_connection();
      if (!opened) {
        if (!may_go_elsewhere(opened.error())) co_return opened.error();
        go_back_to_queue(opened.error());
        held = co_await wait_for_slot();
        continue;
      }
      const Result<void> forwarded = co_await forward();
      if (attempt_.over()) co_return forwarded;
      if (!may_start_over()) {
        attempt_.report_failed();
        co_return forwarded;
      }
      attempt_.start_over();
    }
    if (held.error().reason != Reason::kHomeMoved) co_return held.error();
  }
}

Task<Result<void>> Exchange::forward() {
  prepare_mirror_copy();
  if (member_ != nullptr) {
    Result<void> told = announce();
    if (told && member_->blocked()) told = co_await wait_until_announced();
    if (!told) {
      attempt_.give_up();
      co_return told.error();
    }
  } else if (http::expects_continue(downstream_.head())) {
    if (const Result<void> sent = send_continue(); !sent) {  // nothing has been sent to the pod
      attempt_.give_up();
      co_return sent.error();
    }
  }
  upstream::UpstreamExchange& upstream = attempt_.begin_sending();
  if (upstream.reused()) downstream_.keep_request();  // the pod may have closed the connection already
  if (member_ == nullptr) {
    write_request_head(upstream, downstream_, route_, additions());
  } else {
    pass_request_head(upstream, downstream_, patience_, wakeup_.shard().now());
  }

  Relay relay(*this);
  const Result<void> relayed = co_await relay.run();
  if (relayed || attempt_.settled()) co_return relayed;
  const Failure& failure = relayed.error();
  const bool broke_off = failure.reason == Reason::kUpstreamReset && attempt_.state() == Attempt::State::kSending;
  if (broke_off && upstream.ended_unseen() != upstream::Unseen::kNo) co_return relayed;

  attempt_.blame_replica_for(failure);
  if (failure.reason == Reason::kClientClosed) {  // the client's side ends now, independent of the pod
    downstream_.leave(stream::Leaving::kReset);
    ended_ = wakeup_.shard().read_clock();
    if (route_.deployment->drain_on_abort && upstream.request_sent() && !attempt_.over()) {
      stream::Cancellation& cancellation = attempt_.unless_cut(downstream_);
      const Result<void> drained = co_await drain_answer(upstream, *route_.deployment, wakeup_, cancellation);
      if (drained) attempt_.finish();
    }
  }
  attempt_.give_up();
  co_return relayed;
}

Task<void> refuse_head(ShardServer& server, Downstream& downstream, runtime::Wakeup& wakeup, Failure failure) {
  Exchange exchange(server, downstream, wakeup);
  downstream.leave(stream::Leaving::kClose);
  exchange.refuse(failure);
  const Settled settled = co_await settle(downstream, exchange.attempt(), wakeup, exchange.view().limits.send_timeout);
  exchange.report(settled);
}

}  // namespace router::proxy

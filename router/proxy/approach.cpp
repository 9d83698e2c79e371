#include "router/proxy/approach.h"

#include <algorithm>
#include <utility>

#include "router/auth/authenticate.h"
#include "router/proxy/acquire.h"
#include "router/proxy/heads.h"
#include "router/proxy/server.h"
#include "router/routing/resolve.h"
#include "router/upstream/replica.h"

namespace router::proxy {
namespace {

using dispatch::HeldSlot;

Result<void> check_method(const http::RequestHead& head) {
  if (head.method == http::Method::kConnect || head.method == http::Method::kTrace) {
    return Failure::downstream(Reason::kUnsupportedMethod, "CONNECT and TRACE are not served");
  }
  return {};
}

Result<void> check_loop(const http::Via& via, const http::RequestHead& head) {
  if (!via.is_in(head.fields)) return {};
  return Failure::downstream(Reason::kLoop, "the request has been through this router before: Via names it");
}

Result<void> check_size(const Downstream& downstream, const model::Deployment& deployment) {
  const wire::BodySize size = downstream.request_size();
  if (size.kind == wire::BodySize::Kind::kLength && size.length > deployment.request_bytes_max) {
    return Failure::downstream(Reason::kPayloadTooLarge, "the body is larger than max_request_bytes");
  }
  return {};
}

Result<void> check_patience(const Patience& patience, TimePoint now) {
  if (now < patience.deadline) return {};
  return Failure::downstream(Reason::kDeadlineUnmeetable, "the client's x-request-deadline-ms has passed");
}

std::uint64_t generation_of(const HeldSlot& held_slot) {
  return static_cast<const upstream::Replica&>(held_slot.replica()).generation();
}

}  // namespace

Approach::Approach(ShardServer& server, Views::Snapshot& view, Downstream& downstream, runtime::Wakeup& wakeup, Record& record)
    : server_(server), view_(view), downstream_(downstream), wakeup_(wakeup), record_(record), draw_(wakeup.shard().random()) {}

Result<void> Approach::admit() {
  const http::RequestHead& head = downstream_.head();
  if (const Result<void> served = check_method(head); !served) return served.error();
  if (const Result<void> is_new = check_loop(view_->via, head); !is_new) return is_new.error();

  // Until the key is checked, no answer depends on the deployment: a client without a key cannot find out which deployments
  // exist.
  const routing::Destination destination = routing::find_endpoint(view_->table, head);
  record_.endpoint = destination.endpoint;
  record_.route = {};
  if (!destination.target) return destination.target.error();
  const Result<model::Caller> caller = auth::authenticate(head, *destination.endpoint);
  if (!caller) return caller.error();
  record_.caller = *caller;

  const Result<Patience> patience = patience_of(head, record_.begun);
  if (!patience) return patience.error();
  patience_ = *patience;
  const Result<model::Route> route = routing::choose_deployment(*destination.endpoint, *destination.target, head, draw_);
  if (!route) return route.error();
  record_.route = *route;
  if (const Result<void> fits = check_size(downstream_, *route->deployment); !fits) return fits.error();
  return check_patience(patience_, wakeup_.shard().now());
}

Task<Result<HeldSlot>> Approach::wait_for_slot() { return acquire_under_newest_view({}); }

Task<Result<HeldSlot>> Approach::wait_again(HeldSlot held_slot) {
  dispatch::QueuePosition position = held_slot.position();
  held_slot.give_back();
  co_return co_await acquire_under_newest_view(std::move(position));
}

/// If the slot's replica belongs to a newer generation than this view, its publication may also have changed keys and routes.
/// The exchange takes the newer view and makes every decision again, so that no request is served with parts of two
/// configurations. It keeps the slot unless the request now goes to another queue.
Task<Result<HeldSlot>> Approach::acquire_under_newest_view(dispatch::QueuePosition position) {
  Result<HeldSlot> held_slot = co_await acquire_slot(std::move(position));
  while (held_slot && generation_of(*held_slot) > view_->generation) {
    const std::shared_ptr<dispatch::RequestQueue> queue = route().deployment->queue;
    const Result<void> caught_up = co_await catch_up(generation_of(*held_slot));
    if (!caught_up) co_return caught_up.error();  // the destructor gives the slot back
    if (const Result<void> admitted = admit(); !admitted) co_return admitted.error();
    if (route().deployment->queue == queue) continue;
    held_slot->give_back();
    dispatch::QueuePosition at_the_end;
    held_slot = co_await acquire_slot(std::move(at_the_end));
  }
  co_return held_slot;
}

Task<Result<HeldSlot>> Approach::acquire_slot(dispatch::QueuePosition position) {
  record_.queued = wakeup_.shard().now();
  const Deadline deadline = patience_.until(record_.queued, queue_time_left());
  Result<HeldSlot> held_slot = co_await acquire(queue(), std::move(position), deadline, wakeup_, downstream_);
  record_.left_queue = wakeup_.shard().now();
  record_.in_queue += record_.left_queue - record_.queued;
  record_.waited += record_.left_queue - record_.queued;
  co_return held_slot;
}

Duration Approach::queue_time_left() const {
  return std::max(route().deployment->queue_wait_max - record_.in_queue, Duration{});
}

/// Waits until this shard's view is at least as new as the replica. The publication is already under way. The wait ends with
/// the time that the request may still spend in the queue, but not before kAtLeast.
Task<Result<void>> Approach::catch_up(std::uint64_t generation) {
  constexpr std::chrono::milliseconds kAtLeast{100};
  const TimePoint begun = wakeup_.shard().now();
  const Deadline deadline = patience_.until(begun, std::max<Duration>(queue_time_left(), kAtLeast));
  Views::Arrival arrival(wakeup_);
  while (server_.view()->generation < generation) {
    if (const Result<void> allowed = downstream_.may_take_slot(); !allowed) co_return allowed.error();
    if (const Result<void> wanted = downstream_.still_wanted(); !wanted) co_return wanted.error();
    const TimePoint now = wakeup_.shard().now();
    if (now >= deadline)
      co_return Failure::internal(Reason::kQueueTimeout, "the configuration of the slot's replica did not arrive");
    server_.wait_for_next_view(arrival);
    co_await wakeup_.wait(std::min(deadline, downstream_.ask_again(now)));
  }
  view_ = server_.view();
  record_.left_queue = wakeup_.shard().now();
  record_.in_queue += record_.left_queue - begun;
  record_.waited += record_.left_queue - begun;
  co_return boost::system::in_place_value;
}

Task<Result<std::unique_ptr<upstream::UpstreamExchange>>> Approach::open(HeldSlot& held_slot, bool fresh) {
  record_.replica = held_slot.replica().name();
  record_.sent = {};
  ++record_.attempts;
  if (view_->per_replica) {
    record_.per_replica = true;
    static_cast<upstream::Replica&>(held_slot.replica()).request_sent(wakeup_.shard().index());
  }
  upstream::OpenOptions options;
  options.connect_timeout = route().deployment->connect_timeout;
  options.abort_wait = route().deployment->abort_wait;
  options.fresh = fresh;
  options.cells = &route().deployment->metrics->on(wakeup_.shard().index());
  options.method = downstream_.head().method;
  const TimePoint begun = record_.attempts == 1 ? record_.left_queue : wakeup_.shard().now();
  Result<std::unique_ptr<upstream::UpstreamExchange>> opened =
      co_await upstream::open(held_slot, options, wakeup_, downstream_);
  if (!opened || (*opened)->waited()) record_.waited += wakeup_.shard().now() - begun;  // the wait for the pod
  co_return opened;
}

std::unique_ptr<MirrorCopy>& Approach::mirror_copy(const RequestIds& ids) {
  if (copy_ != nullptr) copy_->restart_body();
  if (mirrored_ || route().mirror == nullptr) return copy_;
  mirrored_ = true;
  const model::Route to_mirror = routing::mirrored(route());
  const auto write_head = [&](wire::RequestSink& copy) {
    write_request_head(copy, downstream_, to_mirror, ids, patience_, view_->via, wakeup_.shard().now());
  };
  copy_ = MirrorCopy::begin(server_.mirrors(), view_, *to_mirror.deployment, downstream_.head().method, write_head);
  return copy_;
}

bool Approach::may_go_elsewhere(const Failure& failure) {
  if (bound_) return false;
  if (upstream::is_refusal(failure)) return record_.refused_retried = true;
  const bool failed = failure.reason == Reason::kUpstreamConnectFailed && failure.origin == Origin::kUpstream;
  if (!failed || record_.connect_retried || !queue().may_retry()) return false;
  return record_.connect_retried = true;
}

bool Approach::may_try_again(upstream::Unseen unseen) {
  if (record_.stale_retried || !downstream_.rewind_request() || !queue().may_retry()) return false;
  bound_ = unseen != upstream::Unseen::kProved;
  return record_.stale_retried = true;
}

}  // namespace router::proxy

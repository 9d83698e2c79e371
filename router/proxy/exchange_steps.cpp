#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "router/auth/authenticate.h"
#include "router/proxy/acquire.h"
#include "router/proxy/exchange.h"
#include "router/proxy/heads.h"
#include "router/proxy/local_reply.h"
#include "router/proxy/request_ids.h"
#include "router/proxy/server.h"
#include "router/routing/resolve.h"
#include "router/upstream/replica.h"

/// The steps of an exchange that exchange.cpp puts in order.
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
  const stream::BodySize size = downstream.request_size();
  if (size.kind == stream::BodySize::Kind::kLength && size.length > deployment.request_bytes_max) {
    return Failure::downstream(Reason::kPayloadTooLarge, "the body is larger than max_request_bytes");
  }
  return {};
}

Result<void> check_patience(const Patience& patience, TimePoint now) {
  if (now < patience.deadline) return {};
  return Failure::downstream(Reason::kDeadlineUnmeetable, "the client's x-request-deadline-ms has passed");
}

}  // namespace

Exchange::Exchange(ShardServer& server, Downstream& downstream, runtime::Wakeup& wakeup, MemberDownstream* member)
    : server_(server),
      downstream_(downstream),
      wakeup_(wakeup),
      view_(server.view()),
      member_(member),
      draw_(wakeup.shard().random()),
      attempt_(wakeup.shard()) {
  record_.ids = &ids_;
  record_.begun = wakeup.shard().now();
  if (member_ == nullptr) {
    read_ids(downstream.head(), ids_);
  } else {
    account_.leave_to_other();  // and the ids: no line of this router's log has them
  }
}

// --- before the queue --------------------------------------------------------------------------------------------------------

Result<void> Exchange::admit() {
  if (member_ != nullptr) return admit_sent_on();
  record_.endpoint = endpoint_ = nullptr;  // what was found in an older view may be gone
  record_.deployment = nullptr;
  route_ = {};
  const http::RequestHead& head = downstream_.head();
  if (const Result<void> served = check_method(head); !served) return served.error();
  if (const Result<void> is_new = check_loop(view_->via, head); !is_new) return is_new.error();

  // Until the key is checked, no answer depends on the deployment: a client without a key cannot find out which deployments
  // exist.
  const routing::Destination destination = routing::find_endpoint(view_->table, head);
  record_.endpoint = endpoint_ = destination.endpoint;
  if (!destination.target) return destination.target.error();
  const Result<model::Caller> caller = auth::authenticate(head, *destination.endpoint);
  if (!caller) return caller.error();
  record_.caller = *caller;

  const Result<Patience> patience = patience_of(head, record_.begun);
  if (!patience) return patience.error();
  patience_ = *patience;
  const Result<model::Route> route = routing::choose_deployment(*destination.endpoint, *destination.target, head, draw_);
  if (!route) return route.error();
  route_ = *route;
  record_.deployment = route_.deployment;
  if (const Result<void> fits = check_size(downstream_, *route_.deployment); !fits) return fits.error();
  return check_patience(patience_, wakeup_.shard().now());
}

void Exchange::note_arrival() {
  arrived_ = true;
  if (member_ == nullptr) route_.deployment->metrics->on(wakeup_.shard().index()).arrived();
}

void Exchange::note_refusal(Reason reason, std::chrono::seconds told) {
  if (!arrived_ || is_copy_ || route_.deployment == nullptr || !lacks_capacity(reason)) return;
  if (home_said_ != nullptr && home_said_->reason == reason) return;  // the home has counted it
  route_.deployment->metrics->on(wakeup_.shard().index()).refused(told);
}

Result<void> Exchange::send_continue() {
  http::ResponseHead head;
  head.status = 100;
  head.reason_phrase = "Continue";
  continued_ = downstream_.interim(head);
  return downstream_.flush();
}

bool Exchange::owes_first_byte() {
  if (!continued_ || downstream_.request_bytes() > 0) return false;
  const Result<Downstream::Arrived> arrived = downstream_.body_arrived();
  return arrived && arrived->bytes == 0;
}

// --- in the queue ------------------------------------------------------------------------------------------------------------

/// If the slot's replica belongs to a newer generation than this view, its publication may also have changed keys and routes.
/// The exchange takes the newer view and makes every decision again, so that no request is served with parts of two
/// configurations. It keeps the slot unless the request now goes to another queue.
Task<Result<void>> Exchange::wait_for_slot() {
  Result<HeldSlot> slot = co_await acquire_slot();
  while (slot && upstream::replica_of(*slot).generation() > view_->generation) {
    const std::shared_ptr<dispatch::RequestQueue> queue = route_.deployment->queue;
    const Result<void> caught_up = co_await catch_up(upstream::replica_of(*slot).generation());
    if (!caught_up) co_return caught_up.error();  // the slot is given back
    if (const Result<void> admitted = admit(); !admitted) co_return admitted.error();
    if (route_.deployment->queue == queue) continue;
    slot->give_back();
    slot = co_await acquire_slot();
  }
  if (!slot) co_return slot.error();
  attempt_.hold(std::move(*slot));
  co_return boost::system::in_place_value;
}

Task<Result<HeldSlot>> Exchange::acquire_slot() {
  if (is_copy_) {
    HeldSlot idle = route_.deployment->queue->take_idle(wakeup_.shard());
    if (!idle) co_return Failure::internal(Reason::kQueueFull, "no slot is idle for a mirrored copy");
    co_return idle;
  }
  const TimePoint begun = wakeup_.shard().now();
  record_.queued = begun;
  const Deadline deadline = queue_deadline(begun);
  if (std::exchange(uncovered_, false)) {
    const Result<void> paused = co_await pause_uncovered(deadline);
    if (!paused) {
      note_queue_time(begun);
      co_return paused.error();
    }
  }
  dispatch::QueuePosition position = std::exchange(position_, dispatch::QueuePosition());
  position.arrival = arrival_;
  position.waking = held_;
  dispatch::RequestQueue& queue = *route_.deployment->queue;
  Holding holding(*this);
  Result<HeldSlot> slot = co_await acquire(queue, std::move(position), deadline, wakeup_, downstream_, &holding);
  held_ |= holding.begun();
  note_queue_time(begun);
  co_return slot;
}

/// Control withholds the pods' slots as soon as it learns that the process is not covered, and the request then waits in the
/// queue. Until then the queue would grant it a slot at once, again and again.
Task<Result<void>> Exchange::pause_uncovered(Deadline deadline) {
  constexpr std::chrono::milliseconds kPause{5};
  const TimePoint until = std::min(deadline, deadline_after(wakeup_.shard().now(), kPause));
  while (wakeup_.shard().now() < until) {
    if (const Result<void> allowed = downstream_.may_take_slot(); !allowed) co_return allowed.error();
    if (const Result<void> wanted = downstream_.still_wanted(); !wanted) co_return wanted.error();
    co_await wakeup_.wait(std::min(until, downstream_.ask_again(wakeup_.shard().now())));
  }
  if (until == deadline) {
    co_return Failure::internal(Reason::kQueueTimeout, "the router was not covered by its fleet within max_queue_wait_ms");
  }
  co_return boost::system::in_place_value;
}

Duration Exchange::queue_time_left() const { return std::max(route_.deployment->queue_wait_max - time_in_queue_, Duration{}); }

Deadline Exchange::held_until() const {
  Duration hold = route_.deployment->hold;
  if (const std::optional<Duration> wait = preferred_wait(downstream_.head().fields)) hold = std::min(hold, *wait);
  return patience_.until(arrival_ != TimePoint{} ? arrival_ : record_.begun, hold);
}

void Exchange::leave_queue(TimePoint begun) {
  left_queue_ = wakeup_.shard().now();
  time_in_queue_ += left_queue_ - begun;
  record_.left_queue = left_queue_;
  record_.in_queue = time_in_queue_;
}

void Exchange::note_queue_time(TimePoint begun) {
  leave_queue(begun);
  record_.waited += left_queue_ - begun;
}

/// Waits until this shard's view is at least as new as the replica. The publication is already under way. The wait ends with
/// the time that the request may still spend in the queue, but not before kAtLeast.
Task<Result<void>> Exchange::catch_up(std::uint64_t generation) {
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
  note_queue_time(begun);
  co_return boost::system::in_place_value;
}

// --- attempts ----------------------------------------------------------------------------------------------------------------

Task<Result<void>> Exchange::open_connection() {
  const std::size_t shard = wakeup_.shard().index();
  record_.replica = attempt_.replica().name();
  record_.sent = {};
  record_.attempts = ++attempts_;
  if (view_->per_replica && send_on_ == nullptr) {
    record_.per_replica = true;
    attempt_.replica().request_sent(shard);
  }
  upstream::OpenOptions options;
  options.connect_timeout = route_.deployment->connect_timeout;
  options.abort_wait = route_.deployment->abort_wait;
  options.cells = &route_.deployment->metrics->on(shard);
  options.method = downstream_.head().method;
  const TimePoint begun = attempts_ == 1 ? left_queue_ : wakeup_.shard().now();
  const Result<void> opened = co_await attempt_.open(options, wakeup_, downstream_);
  if (!opened || attempt_.upstream().waited()) record_.waited += wakeup_.shard().now() - begun;  // for the pod
  co_return opened;
}

RequestAdditions Exchange::additions() const { return {ids_, patience_, view_->via, wakeup_.shard().now()}; }

/// At every attempt the copy is collected from the body's beginning.
void Exchange::prepare_mirror_copy() {
  if (copy_ != nullptr) copy_->restart_body();
  if (mirrored_ || route_.mirror == nullptr) return;
  mirrored_ = true;
  begin_mirror_copy(routing::mirrored(route_));
}

/// If another router is home of the mirrored deployment, the copy is sent on to it.
void Exchange::begin_mirror_copy(const model::Route& to_mirror) {
  const dispatch::NamespaceHome* home = to_mirror.deployment->home.get();
  const std::int32_t where = home != nullptr ? home->where() : dispatch::NamespaceHome::kHere;
  const upstream::Peer* peer = where >= 0 && view_->peers != nullptr ? view_->peers->at(where) : nullptr;
  SentOnFields fields;
  RequestAdditions added = additions();
  if (peer != nullptr) {
    fields = {peer->member(), {}, view_->peers->epoch, true};
    added.to_home = &fields;
  }
  const auto write_head = [&](stream::RequestSink& copy) { write_request_head(copy, downstream_, to_mirror, added); };
  copy_ = MirrorCopy::begin(server_.mirrors(), view_, *to_mirror.deployment, downstream_.head().method, write_head);
  if (copy_ != nullptr) copy_->is_for(where);
}

bool Exchange::may_go_elsewhere(const Failure& failure) {
  if (bound_to_replica_) return false;
  if (failure.reason == Reason::kFleetUncovered) return true;  // as often as the queue time lasts
  if (upstream::is_refusal(failure)) return record_.refused_retried = true;
  const bool failed = failure.reason == Reason::kUpstreamConnectFailed && failure.origin == Origin::kUpstream;
  if (!failed || went_elsewhere_ || !route_.deployment->queue->may_retry()) return false;
  return went_elsewhere_ = record_.connect_retried = true;
}

void Exchange::go_back_to_queue(const Failure& failure) {
  position_ = attempt_.give_slot_up();
  uncovered_ = failure.reason == Reason::kFleetUncovered;
  if (!uncovered_) return;
  position_.avoided = nullptr;
  record_.attempts = --attempts_;  // the pod has seen nothing of it
}

bool Exchange::may_start_over() {
  const upstream::Unseen unseen = attempt_.upstream().ended_unseen();
  if (started_over_ || !downstream_.rewind_request() || !route_.deployment->queue->may_retry()) return false;
  bound_to_replica_ = unseen != upstream::Unseen::kProved;
  return started_over_ = record_.stale_retried = true;
}

// --- the end -----------------------------------------------------------------------------------------------------------------

void Exchange::refuse(const Failure& failure) {
  attempt_.give_up();
  refused_ = true;
  record_.reason = failure.reason;
  record_.cause = failure.cause;
  record_.system_error = failure.system_error;
  const config::StatusProfile profile = endpoint_ != nullptr ? endpoint_->status_profile : config::StatusProfile::kKubernetes;
  if (downstream_.responded())
    return downstream_.leave(stream::Leaving::kReset);  // a response that has begun is never replaced
  record_.status = status_of(failure.reason, profile);
  if (failure.reason == Reason::kClientClosed) return downstream_.leave(stream::Leaving::kReset);
  if (member_ != nullptr) return refuse_sent_on(failure);
  LocalReply reply;
  reply.reason = failure.reason;
  reply.profile = profile;
  reply.message = failure.cause;
  reply.request_id = ids_.request_id;
  reply.client_request_id = ids_.client_request_id.view();
  std::shared_ptr<const std::string> trouble;
  if (const model::Deployment* deployment = route_.deployment) {
    reply.deployment = deployment->name;
    if (failure.reason == Reason::kNoReadyReplica) trouble = record_.trouble = deployment->queue->trouble();
    if (trouble != nullptr) reply.detail = *trouble;
    if (asks_to_retry(failure.reason)) reply.retry_after = retry_after(*deployment->queue, failure.reason);
    note_refusal(failure.reason, reply.retry_after);
  }
  if (home_said_ != nullptr) {
    if (!home_said_->message.empty()) reply.message = home_said_->message;
    if (home_said_->retry_after) reply.retry_after = *home_said_->retry_after;
    reply.detail = {};
  }
  write_local_reply(downstream_, reply);
}

void Exchange::report(const Settled& settled) {
  record_.ended = settled.ended;
  record_.settled = settled.settled;
  record_.waited += settled.waited;
  record_.abort_unnoticed = refused_ && attempt_.outlived();
  account_.report();
}

}  // namespace router::proxy

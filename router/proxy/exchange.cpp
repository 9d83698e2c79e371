#include "router/proxy/exchange.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <utility>

#include "router/base/log.h"
#include "router/proxy/account.h"
#include "router/proxy/approach.h"
#include "router/proxy/forward.h"
#include "router/proxy/gather.h"
#include "router/proxy/local_reply.h"
#include "router/proxy/request_ids.h"
#include "router/proxy/server.h"
#include "router/proxy/upstream_close.h"

namespace router::proxy {
namespace {

using runtime::Wakeup;

/// The steps of one exchange, in order: each step needs the result of the step before it. A second attempt is made only where
/// the contract (section 6) allows it: in another slot if the replica could not be reached, or over a new connection if the
/// reused connection had ended before the pod acted on the request.
Task<Result<void>> answer(ShardServer& server, Views::Snapshot& view, Downstream& downstream, Wakeup& wakeup,
                          const RequestIds& ids, Record& record, UpstreamClose& upstream_close) {
  Approach approach(server, view, downstream, wakeup, record);
  if (const Result<void> admitted = approach.admit(); !admitted) co_return admitted.error();
  if (gathers_first(downstream)) {  // a slow sender holds no slot
    const Result<void> gathered = co_await gather(server, downstream, approach.patience(), view->limits, wakeup, record);
    if (!gathered) co_return gathered.error();
  }
  Result<dispatch::HeldSlot> held_slot = co_await approach.wait_for_slot();
  for (bool fresh = false;;) {
    if (!held_slot) co_return held_slot.error();
    Result<std::unique_ptr<upstream::UpstreamExchange>> opened = co_await approach.open(*held_slot, fresh);
    if (!opened) {
      if (!approach.may_go_elsewhere(opened.error())) co_return opened.error();
      held_slot = co_await approach.wait_again(std::move(*held_slot));
      fresh = false;
      continue;
    }
    const model::Route& route = approach.route();
    upstream::UpstreamExchange& exchange = upstream_close.hold(std::move(*opened), route.deployment->abort_wait);
    const Result<void> forwarded = co_await forward(downstream, route, ids, approach.patience(), exchange,
                                                    approach.mirror_copy(ids), *view, wakeup, record, upstream_close);
    if (forwarded || upstream_close.settled()) co_return forwarded;  // settled: no second attempt is possible
    if (!approach.may_try_again(exchange.ended_unseen())) {
      exchange.held_slot().report().outcome = dispatch::ReplicaReport::Outcome::kFailed;
      upstream_close.begin();
      co_return forwarded;
    }
    held_slot = upstream_close.release();
    fresh = true;
  }
}

constexpr std::chrono::seconds kDropFor{2};  // for the rest of a request body that is not used

/// The deadline of a client that has neither read its whole answer nor sent its whole body. It must make progress in one of the
/// two directions within kDropFor; otherwise its connection is reset.
class Standstill {
 public:
  Deadline deadline(const Downstream& downstream, TimePoint now) {
    const std::uint64_t moved = downstream.bytes_taken() + downstream.request_bytes();
    if (since_ == TimePoint{} || moved != moved_) since_ = now;
    moved_ = moved;
    return deadline_after(since_, kDropFor);
  }

 private:
  std::uint64_t moved_ = 0;
  TimePoint since_{};
};

/// Finishes the exchange after its outcome is decided. Three things happen at the same time: the client reads the rest of its
/// answer within the timeouts (or has already gone), the pod closes a connection that cannot be used again, and the rest of the
/// request's body is read and dropped.
Task<void> settle(Downstream& downstream, UpstreamClose& upstream_close, Wakeup& wakeup, Duration send_timeout,
                  Record& record) {
  using wire::Progress;
  runtime::Shard& shard = wakeup.shard();
  upstream_close.begin();
  const Deadline sent_by = deadline_after(shard.now(), send_timeout);
  Standstill standstill;
  for (;;) {
    const bool sending = downstream.flush() && downstream.blocked();
    if (!sending && record.ended == TimePoint{}) record.ended = shard.read_clock();
    const Progress closing = upstream_close.proceed();
    const Progress dropping = downstream.drop_request();
    if (!sending && closing == Progress::kEnded && dropping == Progress::kEnded) break;
    const TimePoint now = shard.now();
    Deadline client_by = kNever;
    if (dropping != Progress::kEnded) client_by = deadline_after(record.ended, kDropFor);
    if (sending) client_by = sent_by;
    if (sending && !downstream.request_received()) client_by = std::min(sent_by, standstill.deadline(downstream, now));
    if (now >= client_by) {
      downstream.reset();
      continue;
    }
    if (sending) downstream.arm_write();
    if (dropping == Progress::kBlocked) downstream.arm_read();
    upstream_close.arm();
    const bool again = closing == Progress::kMoved || dropping == Progress::kMoved;
    co_await wakeup.wait(again ? now : std::min(client_by, upstream_close.deadline()));
    if (sending) record.waited += shard.now() - now;
  }
  record.settled = shard.now();
}

/// The value of `Retry-After`: the wait that the queue expects, in whole seconds, 1 to 60; 1 if the wait is not known.
std::chrono::seconds retry_after(std::optional<Duration> expected_wait) {
  constexpr std::chrono::seconds kSoonest{1};
  constexpr std::chrono::seconds kLatest{60};
  if (!expected_wait) return kSoonest;
  return std::clamp(std::chrono::ceil<std::chrono::seconds>(*expected_wait), kSoonest, kLatest);
}

/// Records a failure and writes it as the response, unless a response has begun or the client has closed the connection.
void refuse(Downstream& downstream, const Failure& failure, Record& record) {
  record.reason = failure.reason;
  record.cause = failure.cause;
  record.system_error = failure.system_error;
  const config::StatusProfile profile =
      record.endpoint != nullptr ? record.endpoint->status_profile : config::StatusProfile::kKubernetes;
  if (downstream.responded()) return downstream.reset();  // a response that has begun is never replaced
  record.status = status_of(failure.reason, profile);
  if (failure.reason == Reason::kClientClosed) return downstream.reset();
  LocalReply reply;
  reply.reason = failure.reason;
  reply.profile = profile;
  reply.message = failure.cause;
  reply.request_id = record.ids->request_id;
  reply.client_request_id = record.ids->client_request_id.view();
  if (const model::Deployment* deployment = record.route.deployment) {
    reply.deployment = deployment->name;
    if (failure.reason == Reason::kNoReadyReplica) record.trouble = deployment->queue->trouble();
    if (record.trouble != nullptr) reply.detail = *record.trouble;
    if (asks_to_retry(failure.reason)) reply.retry_after = retry_after(deployment->queue->expected_wait());
  }
  write_local_reply(downstream, reply);
}

/// `GET` or `HEAD /healthz` on any listener: a health check of a load balancer. The router answers it itself and does not count
/// it as a request.
bool is_health_check(const http::RequestHead& head) {
  return (head.method == http::Method::kGet || head.method == http::Method::kHead) && head.path == "/healthz";
}

/// An OPTIONS request with `Max-Forwards: 0` must not be forwarded (RFC 9110, 7.6.2). The router answers it itself, whatever
/// its target is, and does not count it as a request.
bool asks_this_hop(const http::RequestHead& head) {
  return head.method == http::Method::kOptions && http::max_forwards(head) == 0U;
}

/// Sends a buffered answer that is not counted.
Task<void> settle_unrecorded(ShardServer& server, Downstream& downstream, Wakeup& wakeup) {
  UpstreamClose nothing(server.shard());
  Record unrecorded;
  co_await settle(downstream, nothing, wakeup, server.view()->limits.send_timeout, unrecorded);
}

Task<void> answer_options(ShardServer& server, Downstream& downstream, Wakeup& wakeup) {
  downstream.begin_head(200, "OK");
  downstream.field("Date", downstream.date());
  downstream.field("Allow", kAllow);
  downstream.end_head({wire::BodySize::Kind::kLength, 0});
  downstream.body_end(nullptr);
  co_await settle_unrecorded(server, downstream, wakeup);
}

Task<void> answer_health_check(ShardServer& server, Downstream& downstream, Wakeup& wakeup) {
  const bool draining = server.draining();
  const std::string_view body = draining ? "draining\n" : "ok\n";
  downstream.begin_head(draining ? 503 : 200, draining ? "Service Unavailable" : "OK");
  downstream.field("Date", downstream.date());
  downstream.field("Content-Type", "text/plain");
  downstream.end_head({wire::BodySize::Kind::kLength, body.size()});
  if (downstream.head().method != http::Method::kHead) downstream.body_piece(body);
  downstream.body_end(nullptr);
  co_await settle_unrecorded(server, downstream, wakeup);
}

/// An exception is a bug in the router or a shortage of memory. It ends this exchange and no other.
Failure broken(const std::exception& error) noexcept {
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) {
    log::error("memory is short: an exchange was ended");
    return Failure::internal(Reason::kInternal, "the router ran short of memory");
  }
  log::error(error.what());
  log::error("our bug: an exception ended an exchange");
  return Failure::internal(Reason::kInternal, "the router failed");
}

}  // namespace

Task<void> run_exchange(ShardServer& server, Downstream& downstream, Wakeup& wakeup) {
  if (is_health_check(downstream.head())) co_return co_await answer_health_check(server, downstream, wakeup);
  if (asks_this_hop(downstream.head())) co_return co_await answer_options(server, downstream, wakeup);
  Views::Snapshot view = server.view();  // taken once; only a newer replica makes `Approach` replace it
  RequestIds ids;
  read_ids(downstream.head(), ids);
  Record record;
  record.ids = &ids;
  record.begun = wakeup.shard().now();
  Account account(server, view, downstream, record);
  UpstreamClose upstream_close(server.shard());
  Result<void> answered = boost::system::in_place_value;
  try {
    answered = co_await answer(server, view, downstream, wakeup, ids, record, upstream_close);
  } catch (const std::exception& error) {
    answered = broken(error);
  }
  if (!answered) refuse(downstream, answered.error(), record);
  co_await settle(downstream, upstream_close, wakeup, view->limits.send_timeout, record);
  record.abort_unnoticed = !answered && upstream_close.outlived();
  account.report();
}

Task<void> refuse_head(ShardServer& server, Downstream& downstream, Wakeup& wakeup, Failure failure) {
  const Views::Snapshot view = server.view();
  RequestIds ids;
  read_ids(downstream.head(), ids);
  Record record;
  record.ids = &ids;
  record.begun = wakeup.shard().now();
  Account account(server, view, downstream, record);
  downstream.close_after();
  refuse(downstream, failure, record);
  UpstreamClose nothing(server.shard());
  co_await settle(downstream, nothing, wakeup, view->limits.send_timeout, record);
  account.report();
}

}  // namespace router::proxy

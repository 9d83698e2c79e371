#include "router/proxy/exchange.h"

#include "router/auth/authenticate.h"
#include "router/proxy/account.h"
#include "router/proxy/acquire.h"
#include "router/proxy/forward.h"
#include "router/proxy/local_reply.h"
#include "router/proxy/patience.h"
#include "router/proxy/request_ids.h"
#include "router/proxy/server.h"
#include "router/routing/resolve.h"

namespace router::proxy {
namespace {

using runtime::Wakeup;

Result<void> check_method(const http::RequestHead& head) {
  if (head.method == http::Method::kConnect || head.method == http::Method::kTrace) {
    return Failure::downstream(Reason::kUnsupportedMethod, "CONNECT and TRACE are not served");
  }
  return {};
}

Result<void> check_size(const Downstream& downstream, const model::Deployment& deployment) {
  const wire::BodySize size = downstream.request_size();
  if (size.kind == wire::BodySize::Kind::kLength && size.length > deployment.request_bytes_max) {
    return Failure::downstream(Reason::kPayloadTooLarge, "the body is larger than max_request_bytes");
  }
  return {};
}

/// The straight line: each step needs what the last one returned.
Task<Result<void>> answer(const View& view, Downstream& downstream, Wakeup& wakeup, const RequestIds& ids, Record& record) {
  const http::RequestHead& head = downstream.head();
  if (const Result<void> served = check_method(head); !served) co_return served.error();

  const routing::Resolution resolution = routing::resolve(view.table, head, wakeup.shard().random());
  record.endpoint = resolution.endpoint;
  if (!resolution.route) co_return resolution.route.error();
  const model::Route& route = record.route = *resolution.route;

  const Result<model::Caller> caller = auth::authenticate(head, route);
  if (!caller) co_return caller.error();
  record.caller = *caller;

  if (const Result<void> fits = check_size(downstream, *route.deployment); !fits) co_return fits.error();

  const Patience patience = patience_of(head, record.begun);
  record.queued = wakeup.shard().now();
  Result<dispatch::Lease> lease = co_await acquire(
      *route.deployment->line, patience.until(record.queued, route.deployment->queue_wait_max), wakeup, downstream);
  record.leased = wakeup.shard().now();
  record.waited += record.leased - record.queued;
  if (!lease) co_return lease.error();

  co_return co_await forward(downstream, route, ids, patience, std::move(*lease), view.limits, wakeup, record);
}

/// Sends what is still queued to a client that takes it slowly; within bounds, the client may also have gone.
Task<void> send_rest(Downstream& downstream, Wakeup& wakeup, Duration send_timeout) {
  const Deadline deadline = deadline_after(wakeup.shard().now(), send_timeout);
  while (downstream.flush() && downstream.blocked()) {
    downstream.arm_write();
    if (!co_await wakeup.wait(deadline)) co_return downstream.reset();
  }
}

Task<void> refuse(const View& view, Downstream& downstream, Wakeup& wakeup, const Failure& failure, Record& record) {
  record.reason = failure.reason;
  record.cause = failure.cause;
  record.system_error = failure.system_error;
  const config::StatusProfile profile =
      record.endpoint != nullptr ? record.endpoint->status_profile : config::StatusProfile::kKubernetes;
  if (downstream.responded()) {
    downstream.reset();  // a response that has begun is never replaced
    co_return;
  }
  record.status = status_of(failure.reason, profile);
  if (failure.reason == Reason::kClientClosed) {
    downstream.reset();
    co_return;
  }
  LocalReply reply;
  reply.reason = failure.reason;
  reply.profile = profile;
  reply.message = failure.cause;
  reply.request_id = record.ids->request_id;
  reply.client_request_id = record.ids->client_request_id;
  if (record.route.deployment != nullptr) reply.deployment = record.route.deployment->name;
  write_local_reply(downstream, reply);
  co_await send_rest(downstream, wakeup, view.limits.send_timeout);
}

/// `GET /healthz` on any listener: for load balancers, answered by the router itself and not counted as a request.
bool is_health_check(const http::RequestHead& head) { return head.method == http::Method::kGet && head.path == "/healthz"; }

Task<void> answer_health_check(ShardServer& server, Downstream& downstream, Wakeup& wakeup) {
  const bool draining = server.draining();
  const std::string_view body = draining ? "draining\n" : "ok\n";
  if (!downstream.discard_request()) downstream.close_after();
  downstream.begin_head(draining ? 503 : 200, draining ? "Service Unavailable" : "OK");
  downstream.field("Content-Type", "text/plain");
  downstream.end_head({wire::BodySize::Kind::kLength, body.size()});
  downstream.body_piece(body);
  downstream.body_end(nullptr);
  co_await send_rest(downstream, wakeup, server.view()->limits.send_timeout);
}

}  // namespace

Task<void> run_exchange(ShardServer& server, Downstream& downstream, Wakeup& wakeup) {
  if (is_health_check(downstream.head())) co_return co_await answer_health_check(server, downstream, wakeup);
  const Views::Snapshot view = server.view();  // once: one view per exchange
  RequestIds ids;
  read_ids(downstream.head(), ids);
  Record record;
  record.ids = &ids;
  record.begun = wakeup.shard().now();
  const Result<void> answered = co_await answer(*view, downstream, wakeup, ids, record);
  if (!answered) co_await refuse(*view, downstream, wakeup, answered.error(), record);
  record.ended = wakeup.shard().now();
  account(server, *view, downstream, record);
}

Task<void> refuse_head(ShardServer& server, Downstream& downstream, Wakeup& wakeup, Failure failure) {
  const Views::Snapshot view = server.view();
  RequestIds ids;
  read_ids(downstream.head(), ids);
  Record record;
  record.ids = &ids;
  record.begun = wakeup.shard().now();
  downstream.close_after();
  co_await refuse(*view, downstream, wakeup, failure, record);
  record.ended = wakeup.shard().now();
  account(server, *view, downstream, record);
}

}  // namespace router::proxy

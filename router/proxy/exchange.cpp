#include "router/proxy/exchange.h"

#include <algorithm>

#include "router/auth/authenticate.h"
#include "router/proxy/account.h"
#include "router/proxy/acquire.h"
#include "router/proxy/ending.h"
#include "router/proxy/forward.h"
#include "router/proxy/local_reply.h"
#include "router/proxy/patience.h"
#include "router/proxy/request_ids.h"
#include "router/proxy/server.h"
#include "router/routing/resolve.h"
#include "router/upstream/replica.h"

namespace router::proxy {
namespace {

using runtime::Wakeup;

Result<void> check_method(const http::RequestHead& head) {
  if (head.method == http::Method::kConnect || head.method == http::Method::kTrace) {
    return Failure::downstream(Reason::kUnsupportedMethod, "CONNECT and TRACE are not served");
  }
  return {};
}

std::uint64_t generation_of(const dispatch::Replica& replica) {
  return static_cast<const upstream::Replica&>(replica).generation();
}

Result<void> check_size(const Downstream& downstream, const model::Deployment& deployment) {
  const wire::BodySize size = downstream.request_size();
  if (size.kind == wire::BodySize::Kind::kLength && size.length > deployment.request_bytes_max) {
    return Failure::downstream(Reason::kPayloadTooLarge, "the body is larger than max_request_bytes");
  }
  return {};
}

/// What an exchange may do under one view: evidence of the steps before the line.
Result<model::Route> admit(const View& view, const Downstream& downstream, std::uint64_t draw, Record& record) {
  const http::RequestHead& head = downstream.head();
  if (const Result<void> served = check_method(head); !served) return served.error();

  const routing::Resolution resolution = routing::resolve(view.table, head, draw);
  record.endpoint = resolution.endpoint;
  record.route = {};
  if (!resolution.route) return resolution.route.error();
  const model::Route& route = record.route = *resolution.route;

  const Result<model::Caller> caller = auth::authenticate(head, route);
  if (!caller) return caller.error();
  record.caller = *caller;

  if (const Result<void> fits = check_size(downstream, *route.deployment); !fits) return fits.error();
  return route;
}

/// Waits until this shard's view is at least as new as a replica: its publication is on its way.
Task<void> catch_up(ShardServer& server, Views::Snapshot& view, std::uint64_t generation, Wakeup& wakeup) {
  constexpr std::chrono::milliseconds kLook{1};
  while (server.view()->generation < generation) co_await wakeup.wait(wakeup.shard().now() + kLook);
  view = server.view();
}

Task<Result<dispatch::Lease>> lease_of(const model::Deployment& deployment, Patience patience, Wakeup& wakeup,
                                       wire::Cancellation& cancellation, Record& record) {
  record.queued = wakeup.shard().now();
  const Deadline deadline = patience.until(record.queued, deployment.queue_wait_max);
  Result<dispatch::Lease> lease = co_await acquire(*deployment.line, deadline, wakeup, cancellation);
  record.leased = wakeup.shard().now();
  record.waited += record.leased - record.queued;
  co_return lease;
}

/// The straight line: each step needs what the last one returned.
Task<Result<void>> answer(ShardServer& server, Views::Snapshot& view, Downstream& downstream, Wakeup& wakeup,
                          const RequestIds& ids, Record& record, Ending& ending) {
  const std::uint64_t draw = wakeup.shard().random();
  Result<model::Route> route = admit(*view, downstream, draw, record);
  if (!route) co_return route.error();
  const Patience patience = patience_of(downstream.head(), record.begun);
  Result<dispatch::Lease> lease = co_await lease_of(*route->deployment, patience, wakeup, downstream, record);
  if (!lease) co_return lease.error();

  // A replica that is newer than our view was listed together with other keys and routes: everything is decided again under
  // those, so that no request is ever served half by one configuration and half by another. The slot is kept unless the request
  // now leads elsewhere.
  while (generation_of(lease->replica()) > view->generation) {
    const std::shared_ptr<dispatch::Line> line = route->deployment->line;
    co_await catch_up(server, view, generation_of(lease->replica()), wakeup);
    route = admit(*view, downstream, draw, record);
    if (!route) co_return route.error();
    if (route->deployment->line == line) continue;
    lease->give_back();
    lease = co_await lease_of(*route->deployment, patience, wakeup, downstream, record);
    if (!lease) co_return lease.error();
  }
  co_return co_await forward(downstream, *route, ids, patience, std::move(*lease), view->limits, wakeup, record, ending);
}

/// What is left when all is decided, both sides at once: a slow client takes the rest of its answer, within bounds (it may also
/// have gone), and the pod closes a connection that cannot be used again.
Task<void> conclude(Downstream& downstream, Ending& ending, Wakeup& wakeup, Duration send_timeout) {
  runtime::Shard& shard = wakeup.shard();
  ending.begin();
  const Deadline sent_by = deadline_after(shard.now(), send_timeout);
  for (;;) {
    const bool sending = downstream.flush() && downstream.blocked();
    const wire::Progress closing = ending.proceed();
    if (!sending && closing == wire::Progress::kEnded) co_return;
    const TimePoint now = shard.now();
    if (sending && now >= sent_by) {
      downstream.reset();
      continue;
    }
    if (sending) downstream.arm_write();
    ending.arm();
    const Deadline next = std::min(sending ? sent_by : kNever, ending.deadline());
    co_await wakeup.wait(closing == wire::Progress::kMoved ? now : next);
  }
}

/// Makes a failure the answer, unless one has begun or nobody reads it.
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
  if (record.route.deployment != nullptr) reply.deployment = record.route.deployment->name;
  write_local_reply(downstream, reply);
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
  Ending nothing(server.shard());
  co_await conclude(downstream, nothing, wakeup, server.view()->limits.send_timeout);
}

}  // namespace

Task<void> run_exchange(ShardServer& server, Downstream& downstream, Wakeup& wakeup) {
  if (is_health_check(downstream.head())) co_return co_await answer_health_check(server, downstream, wakeup);
  Views::Snapshot view = server.view();  // once: one view per exchange
  RequestIds ids;
  read_ids(downstream.head(), ids);
  Record record;
  record.ids = &ids;
  record.begun = wakeup.shard().now();
  Ending ending(server.shard());
  const Result<void> answered = co_await answer(server, view, downstream, wakeup, ids, record, ending);
  if (!answered) refuse(downstream, answered.error(), record);
  co_await conclude(downstream, ending, wakeup, view->limits.send_timeout);
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
  refuse(downstream, failure, record);
  Ending nothing(server.shard());
  co_await conclude(downstream, nothing, wakeup, view->limits.send_timeout);
  record.ended = wakeup.shard().now();
  account(server, *view, downstream, record);
}

}  // namespace router::proxy

#include "router/proxy/forward.h"

#include "router/proxy/heads.h"
#include "router/proxy/relay.h"
#include "router/upstream/exchange.h"

namespace router::proxy {
namespace {

using upstream::UpstreamExchange;

/// Reads an answer that nobody wants any more, for pods that bear no abort; every timeout stays in force.
Task<void> drain_answer(UpstreamExchange& exchange, const model::Deployment& deployment, runtime::Wakeup& wakeup,
                        Ending& ending) {
  struct Nowhere final : wire::BodySink {
    void body_piece(std::string_view) override {}
    void body_end(const http::Fields*) override {}
  } nowhere;
  runtime::Shard& shard = wakeup.shard();
  Deadline deadline = deadline_after(shard.now(), deployment.request_timeout);
  for (bool begun = false; shard.now() < deadline;) {
    const Result<const http::ResponseHead*> head = exchange.response_head();
    if (!head) co_return;
    if (*head != nullptr && (*head)->status < 200) {
      exchange.skip_interim();
      continue;
    }
    if (*head != nullptr) {
      if (!begun) deadline = deadline_after(shard.now(), deployment.stream_idle_timeout);
      begun = true;
      const Result<wire::Progress> moved = exchange.read_body(nowhere);
      if (!moved) co_return;
      if (*moved == wire::Progress::kEnded) {
        if (!exchange.pod_closes()) ending.finish();
        co_return;
      }
      if (*moved != wire::Progress::kBlocked) deadline = deadline_after(shard.now(), deployment.stream_idle_timeout);
      if (*moved == wire::Progress::kMoved) {
        co_await wakeup.wait(shard.now());
        continue;
      }
    }
    exchange.arm();
    co_await wakeup.wait(deadline);
  }
}

}  // namespace

Task<Result<void>> forward(Downstream& downstream, const model::Route& route, const RequestIds& ids, Patience patience,
                           UpstreamExchange& exchange, const config::Limits& limits, runtime::Wakeup& wakeup, Record& record,
                           Ending& ending) {
  const model::Deployment& deployment = *route.deployment;
  if (downstream.head().fields.has(http::Field::kExpect)) {
    downstream.send_continue();
    if (const Result<void> sent = downstream.flush(); !sent) {  // nothing was sent to the pod
      ending.begin();
      co_return sent.error();
    }
  }
  if (exchange.reused()) downstream.keep_request();  // it may turn out to have ended
  write_request_head(exchange, downstream, route, ids, patience, wakeup.shard().now());

  Relay relay(downstream, exchange, route, ids, patience, limits, wakeup, record, ending);
  const Result<void> relayed = co_await relay.run();
  if (ending.ended()) co_return relayed;
  if (!relayed && relayed.error().reason == Reason::kUpstreamReset && exchange.ended_unseen()) co_return relayed;
  if (!relayed && upstream::blames_replica(relayed.error())) {
    exchange.lease().verdict().outcome = dispatch::Verdict::Outcome::kFailed;
  }

  const bool client_left = !relayed && relayed.error().reason == Reason::kClientClosed;
  if (client_left) downstream.reset();  // the client's side ends now, whatever the pod still does
  if (client_left && deployment.drain_on_abort && exchange.request_sent() && !ending.begun()) {
    co_await drain_answer(exchange, deployment, wakeup, ending);
  }
  ending.begin();
  co_return relayed;
}

}  // namespace router::proxy

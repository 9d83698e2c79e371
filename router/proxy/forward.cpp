#include "router/proxy/forward.h"

#include "router/proxy/drain_answer.h"
#include "router/proxy/heads.h"
#include "router/proxy/relay.h"

namespace router::proxy {

using upstream::UpstreamExchange;

Task<Result<void>> forward(Downstream& downstream, const model::Route& route, const RequestIds& ids, Patience patience,
                           UpstreamExchange& exchange, std::unique_ptr<MirrorCopy>& copy, const View& view,
                           runtime::Wakeup& wakeup, Record& record, UpstreamClose& upstream_close) {
  const model::Deployment& deployment = *route.deployment;
  if (http::expects_continue(downstream.head())) {
    downstream.send_continue();
    if (const Result<void> sent = downstream.flush(); !sent) {  // nothing has been sent to the pod
      upstream_close.begin();
      co_return sent.error();
    }
  }
  if (exchange.reused()) downstream.keep_request();  // the pod may have closed the connection already
  write_request_head(exchange, downstream, route, ids, patience, view.via, wakeup.shard().now());

  Relay relay(downstream, exchange, copy, route, ids, patience, view.limits, wakeup, record, upstream_close);
  const Result<void> relayed = co_await relay.run();
  if (upstream_close.ended()) co_return relayed;
  const bool broke_off = !relayed && relayed.error().reason == Reason::kUpstreamReset;
  if (broke_off && exchange.ended_unseen() != upstream::Unseen::kNo) co_return relayed;
  if (!relayed && upstream::blames_replica(relayed.error())) {
    exchange.held_slot().report().outcome = dispatch::ReplicaReport::Outcome::kFailed;
  }

  const bool client_left = !relayed && relayed.error().reason == Reason::kClientClosed;
  if (client_left) {  // the client's side ends now, independent of the pod
    downstream.reset();
    record.ended = wakeup.shard().read_clock();
  }
  if (client_left && deployment.drain_on_abort && exchange.request_sent() && !upstream_close.begun()) {
    const Result<void> drained = co_await drain_answer(exchange, deployment, wakeup, downstream);
    if (drained && !exchange.pod_closes()) upstream_close.finish();
  }
  upstream_close.begin();
  co_return relayed;
}

}  // namespace router::proxy

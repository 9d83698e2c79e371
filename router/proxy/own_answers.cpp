#include "router/proxy/own_answers.h"

#include <string_view>

#include "router/proxy/attempt.h"
#include "router/proxy/local_reply.h"
#include "router/proxy/server.h"
#include "router/proxy/settle.h"

namespace router::proxy {
namespace {

bool is_health_check(const http::RequestHead& head) {
  return (head.method == http::Method::kGet || head.method == http::Method::kHead) && head.path == "/healthz";
}

bool is_options_of_this_hop(const http::RequestHead& head) {
  return head.method == http::Method::kOptions && http::max_forwards(head) == 0U;
}

void write_options(Downstream& downstream) {
  downstream.begin_head(200, "OK");
  downstream.field("Date", downstream.date());
  downstream.field("Allow", kAllow);
  downstream.end_head({stream::BodySize::Kind::kLength, 0});
  downstream.body_end(nullptr);
}

void write_health(Downstream& downstream, bool draining) {
  const std::string_view body = draining ? "draining\n" : "ok\n";
  downstream.begin_head(draining ? 503 : 200, draining ? "Service Unavailable" : "OK");
  downstream.field("Date", downstream.date());
  downstream.field("Content-Type", "text/plain");
  downstream.end_head({stream::BodySize::Kind::kLength, body.size()});
  if (downstream.head().method != http::Method::kHead) downstream.body_piece(body);
  downstream.body_end(nullptr);
}

}  // namespace

bool is_answered_here(const http::RequestHead& head) { return is_health_check(head) || is_options_of_this_hop(head); }

Task<void> answer_here(ShardServer& server, Downstream& downstream, runtime::Wakeup& wakeup) {
  is_health_check(downstream.head()) ? write_health(downstream, server.draining()) : write_options(downstream);
  Attempt none(server.shard());
  co_await settle(downstream, none, wakeup, server.view()->limits.send_timeout);
}

}  // namespace router::proxy

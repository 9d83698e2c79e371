#include "router/proxy/gather.h"

#include <algorithm>
#include <chrono>
#include <string_view>
#include <utility>

#include "router/base/text.h"
#include "router/http1/message_input.h"
#include "router/proxy/exchange.h"
#include "router/proxy/minimum_rate.h"
#include "router/proxy/server.h"

namespace router::proxy {
namespace {

using Arrived = Downstream::Arrived;

constexpr std::size_t kBytesMax = http1::MessageInput::kAheadBytes;  // the part of a body that a connection can buffer
constexpr std::chrono::milliseconds kSilence{100};                   // of a client that sent no Content-Length

bool has_length(const Downstream& downstream) { return downstream.request_size().kind == stream::BodySize::Kind::kLength; }

bool speaks_grpc(const http::RequestHead& head) {
  return std::any_of(head.fields.begin(), head.fields.end(), [](const http::FieldLine& line) {
    return equals_ignoring_case(line.name, "content-type") && starts_with_ignoring_case(line.value, "application/grpc");
  });
}

bool may_gather(const Downstream& downstream) {
  const stream::BodySize size = downstream.request_size();
  if (size.kind == stream::BodySize::Kind::kLength) return size.length <= kBytesMax;
  if (size.kind != stream::BodySize::Kind::kUnknown) return false;
  return !http::expects_continue(downstream.head()) && !speaks_grpc(downstream.head());
}

}  // namespace

bool gathers_first(Downstream& downstream) {
  if (!may_gather(downstream)) return false;
  const Result<Arrived> arrived = downstream.body_arrived();
  return !arrived || (!arrived->whole && arrived->bytes < kBytesMax);
}

Task<Result<void>> gather(Exchange& exchange) {
  Downstream& downstream = exchange.downstream();
  const config::Limits& limits = exchange.view().limits;
  const Patience patience = exchange.patience();
  runtime::Wakeup& wakeup = exchange.wakeup();
  runtime::Shard& shard = wakeup.shard();
  if (http::expects_continue(downstream.head())) {
    if (const Result<void> sent = exchange.send_continue(); !sent) co_return sent.error();
  }
  const bool until_silent = !has_length(downstream);
  GatheringRoom::Share share(exchange.server().gathering_room());
  MinimumRate rate(limits.min_body_rate, limits.body_timeout);
  std::size_t bytes = 0;
  TimePoint moved = shard.now();
  for (;;) {
    if (const Result<void> allowed = downstream.may_take_slot(); !allowed) co_return allowed.error();
    if (const Result<void> wanted = downstream.still_wanted(); !wanted) co_return wanted.error();  // reads what has arrived
    const Result<Arrived> arrived = downstream.body_arrived();
    if (!arrived) co_return arrived.error();
    if (arrived->whole || arrived->bytes >= kBytesMax || !share.grow(arrived->bytes)) co_return boost::system::in_place_value;
    const TimePoint now = shard.now();
    rate.moved(arrived->bytes);
    if (std::exchange(bytes, arrived->bytes) < arrived->bytes) moved = now;
    const Deadline silent = until_silent ? moved + kSilence : kNever;
    const Deadline too_slow = std::min(deadline_after(moved, limits.body_timeout), deadline_after(now, rate.left()));
    if (now >= silent) co_return boost::system::in_place_value;
    if (now >= too_slow) co_return Failure::downstream(Reason::kClientTimeout, "the body arrives too slowly");
    if (now >= patience.deadline) {
      co_return Failure::downstream(Reason::kClientTimeout,
                                    "the body did not arrive within the client's x-request-deadline-ms");
    }
    const Deadline next = std::min(std::min(silent, too_slow), patience.deadline);
    co_await wakeup.wait(next);
    const Duration slept = shard.now() - now;
    rate.waited(slept);
    exchange.record().waited += slept;
  }
}

}  // namespace router::proxy

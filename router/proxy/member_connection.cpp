#include "router/proxy/member_connection.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>
#include <utility>

#include "router/proxy/exchange.h"
#include "router/proxy/fleet_head.h"
#include "router/proxy/handshakes.h"
#include "router/proxy/local_reply.h"
#include "router/proxy/member_downstream.h"
#include "router/proxy/server.h"
#include "tls/stream.h"

namespace router::proxy {
namespace {

using runtime::IoResult;
using runtime::IoState;
using runtime::Wakeup;

constexpr std::size_t kStrangersMax = 64;  // of a shard
constexpr std::chrono::seconds kHandshake{5};
constexpr std::chrono::minutes kIdle{15};  // longer than the other router keeps an idle connection

/// The drain wakes the connection while this exists.
class Enlisted {
 public:
  Enlisted(ShardServer& server, Wakeup& wakeup) : server_(server), wakeup_(wakeup) { server_.enlist(wakeup_); }
  Enlisted(const Enlisted&) = delete;
  Enlisted& operator=(const Enlisted&) = delete;
  ~Enlisted() { server_.remove(wakeup_); }

 private:
  ShardServer& server_;
  Wakeup& wakeup_;
};

/// Until its first message has proven that it has the key, whoever connects is a stranger. The messages of members that connect
/// at once have mostly arrived by now: then they take no room from each other. A drain gives strangers as long as new clients.
Task<bool> shake_hands(ShardServer& server, tls::Stream& stream, Wakeup& wakeup) {
  const Deadline deadline = deadline_after(server.shard().now(), kHandshake);
  std::optional<Handshakes::Entry> stranger;
  for (;;) {
    const IoResult shaken = stream.handshake();
    if (shaken.state == IoState::kDone) co_return true;
    if (shaken.state != IoState::kBlocked) co_return false;
    if (stream.resumed()) {  // so TLS calls a handshake whose key has been checked
      stranger.reset();
    } else if (!stranger) {
      stranger.emplace(server.member_strangers(), stream.socket(), kStrangersMax);
    }
    stream.arm_read();
    const bool woken = co_await wakeup.wait(stranger ? std::min(deadline, server.first_requests_end()) : deadline);
    if (!woken || server.grace_over() || (stranger && stranger->cut())) co_return false;
  }
}

/// A head that is not HTTP or too large: the peer is told why, and the connection ends.
void refuse_head_of_member(MemberDownstream& downstream, const Failure& failure) {
  downstream.leave(stream::Leaving::kClose);
  downstream.begin_head(status_of(failure.reason, config::StatusProfile::kKubernetes), "Refused");
  downstream.field(fleet_field::kReason, name_of(failure.reason));
  downstream.field(fleet_field::kMessage, plain_text(failure.cause));
  downstream.end_head({stream::BodySize::Kind::kLength, 0});
  downstream.body_end(nullptr);
  static_cast<void>(downstream.flush());
}

/// Serves requests, one after the other. Returns true when no further one has begun to arrive, false when the connection is
/// over.
Task<bool> serve_requests(ShardServer& server, tls::Stream& stream, const Peer& peer, Wakeup& wakeup) {
  using Next = Http1Downstream::Next;
  MemberDownstream downstream(server, stream, wakeup, peer);
  for (;;) {
    const Result<Next> next = co_await downstream.next_head();
    if (next && *next != Next::kRequest) {
      if (*next == Next::kNothing) co_return true;
      break;
    }
    if (next) {
      co_await run_sent_on(server, downstream, wakeup);
    } else {
      refuse_head_of_member(downstream, next.error());
    }
    if (!downstream.finish()) break;
    if (!downstream.has_begun()) co_return true;
    co_await wakeup.wait(server.shard().now());  // a peer does not pipeline
  }
  co_await downstream.linger();
  co_return false;
}

/// The FIN comes first: a request that is on its way then gets no answer, and its router knows that no pod has seen it.
Task<void> end_in_order(ShardServer& server, tls::Stream& stream, const Peer& peer, Wakeup& wakeup) {
  MemberDownstream downstream(server, stream, wakeup, peer);
  co_await downstream.linger();
}

}  // namespace

Task<void> serve_member(ShardServer& server, runtime::Socket socket, std::shared_ptr<tls::PskServerContext> context) {
  Wakeup wakeup(server.shard());
  socket.set_waker(&wakeup);
  const Enlisted enlisted(server, wakeup);
  const Peer peer{{}, true, context != nullptr};
  tls::Stream stream = context != nullptr ? tls::Stream(std::move(socket), *context) : tls::Stream(std::move(socket));
  const bool secured = co_await shake_hands(server, stream, wakeup);
  if (!secured) co_return;
  for (;;) {
    const bool stays = co_await serve_requests(server, stream, peer, wakeup);
    if (!stays) co_return;
    const Deadline idle_until = deadline_after(server.shard().now(), kIdle);
    stream.arm_read();
    while (stream.socket().read_armed() && server.shard().now() < idle_until) {
      // What has arrived is served, too. The poller has not seen it yet: until it has, nothing can be read.
      if (server.closing_idle() && !stream.socket().has_arrived()) break;
      co_await wakeup.wait(idle_until);
    }
    if (!stream.socket().read_armed()) continue;  // bytes, or the end
    co_await end_in_order(server, stream, peer, wakeup);
    co_return;
  }
}

}  // namespace router::proxy

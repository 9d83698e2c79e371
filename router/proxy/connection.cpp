#include "router/proxy/connection.h"

#include <algorithm>
#include <utility>

#include "router/proxy/exchange.h"
#include "router/proxy/http1_downstream.h"
#include "router/proxy/proxy_protocol.h"
#include "router/proxy/server.h"
#include "tls/stream.h"

namespace router::proxy {
namespace {

using runtime::IoResult;
using runtime::IoState;
using runtime::Wakeup;

/// Counts a connection for as long as it lives, and lets the drain wake it.
class Enlisted {
 public:
  Enlisted(ShardServer& server, Wakeup& wakeup) : server_(server), wakeup_(wakeup) {
    server_.cells().connections_active.add();
    server_.enlist(wakeup_);
  }
  Enlisted(const Enlisted&) = delete;
  Enlisted& operator=(const Enlisted&) = delete;
  ~Enlisted() {
    server_.strike(wakeup_);
    server_.cells().connections_active.subtract();
    server_.connection_closed();
  }

 private:
  ShardServer& server_;
  Wakeup& wakeup_;
};

Task<bool> shake_hands(ShardServer& server, tls::Stream& stream, Wakeup& wakeup, Deadline deadline) {
  for (;;) {
    const IoResult shaken = stream.handshake();
    if (shaken.state == IoState::kDone) break;
    if (shaken.state == IoState::kBlocked) {
      stream.arm_read();
      const Deadline until = std::min(deadline, server.first_requests_end());
      if (co_await wakeup.wait(until)) continue;
    }
    server.cells().handshakes_failed.add();
    co_return false;
  }
  stream.resumed() ? server.cells().handshakes_resumed.add() : server.cells().handshakes_full.add();
  co_return true;
}

Task<void> serve_exchanges(ShardServer& server, ListenerId listener, tls::Stream& stream, const Peer& peer, Wakeup& wakeup) {
  Http1Downstream downstream(server, listener, stream, wakeup, peer);
  for (;;) {
    const Result<bool> begun = co_await downstream.next_head();
    if (begun && !*begun) co_return;
    if (begun) {
      co_await run_exchange(server, downstream, wakeup);
    } else {
      co_await refuse_head(server, downstream, wakeup, begun.error());
    }
    if (!downstream.finish()) break;
  }
  co_await downstream.linger();
}

}  // namespace

Task<void> serve_connection(ShardServer& server, ListenerId listener, runtime::Socket socket, runtime::Address address) {
  Wakeup wakeup(server.shard());
  const Enlisted enlisted(server, wakeup);
  socket.set_waker(&wakeup);

  // What the connection needs of the configuration is taken now; a later one acts on later connections, and may not know the
  // listener any more.
  const ListenerSettings& settings = server.view()->listeners.at(listener);
  const std::shared_ptr<tls::ServerContext> context = settings.tls.empty() ? nullptr : settings.tls[server.shard().index()];
  const Deadline deadline = deadline_after(server.shard().now(), server.view()->limits.header_timeout);
  bool trusted = server.view()->trusted_proxies.contains(address);
  if (settings.proxy_protocol && trusted) {
    const Result<runtime::Address> client = co_await read_proxy_header(socket, wakeup, deadline, address);
    if (!client) co_return;
    address = *client;
    trusted = server.view()->trusted_proxies.contains(address);
  }

  tls::Stream stream = context ? tls::Stream(std::move(socket), *context) : tls::Stream(std::move(socket));
  if (context) {
    const bool secured = co_await shake_hands(server, stream, wakeup, deadline);
    if (!secured) co_return;
  }
  const std::string ip = address.ip();
  const Peer peer{ip, trusted, context != nullptr};
  co_await serve_exchanges(server, listener, stream, peer, wakeup);
}

}  // namespace router::proxy

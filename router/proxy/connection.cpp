#include "router/proxy/connection.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "router/proxy/exchange.h"
#include "router/proxy/http1_downstream.h"
#include "router/proxy/proxy_protocol.h"
#include "router/proxy/room_search.h"
#include "router/proxy/server.h"
#include "tls/stream.h"

namespace router::proxy {
namespace {

using runtime::IoResult;
using runtime::IoState;
using runtime::Wakeup;

constexpr int kExchangesPerTurn = 32;

/// Counts a connection for as long as it lives, and lets the drain wake it.
class Enlisted {
 public:
  Enlisted(ShardServer& server, Wakeup& wakeup) : server_(server), wakeup_(wakeup) {
    server_.enlist(wakeup_);  // first: it may find no memory
    server_.cells().connections_active.add();
  }
  Enlisted(const Enlisted&) = delete;
  Enlisted& operator=(const Enlisted&) = delete;
  ~Enlisted() {
    server_.remove(wakeup_);
    server_.cells().connections_active.subtract();
  }

 private:
  ShardServer& server_;
  Wakeup& wakeup_;
};

/// False: the handshake failed, took too long, or had to make room for another one. A client that has closed without a byte
/// wanted none: so load balancers look whether a port is open.
Task<bool> shake_hands(ShardServer& server, tls::Stream& stream, Wakeup& wakeup, Deadline deadline, std::size_t at_once,
                       IdleConnections::Entry& idle) {
  const Handshakes::Entry under_way(server.handshakes(), stream.socket(), at_once);
  idle.rest(IdleConnections::Since::kAccepted);
  bool closed = false;
  bool begun = false;
  while (!under_way.cut() && !idle.cut()) {
    const IoResult shaken = stream.handshake();
    if (shaken.state == IoState::kDone) {
      idle.leave();
      stream.resumed() ? server.cells().handshakes_resumed.add() : server.cells().handshakes_full.add();
      co_return true;
    }
    closed = shaken.state != IoState::kBlocked;
    if (closed) break;
    stream.arm_read();
    const bool woken = co_await wakeup.wait(std::min(deadline, server.first_requests_end()));
    if (!begun) idle.begin(server.shard().now());  // its first bytes
    begun = true;
    if (!woken) break;
  }
  idle.leave();
  if (!closed || !stream.has_heard_nothing()) server.cells().handshakes_failed.add();
  co_return false;
}

/// This shard's part of the handshakes that the process may have under way.
std::size_t handshakes_at_once(const config::Limits& limits, std::size_t shards) {
  return std::max<std::size_t>(limits.max_handshakes / shards, 1);
}

/// Counts one that is refused for as long as it is read, or one that asks other shards for a permit.
class Counted {
 public:
  explicit Counted(std::size_t& count) : count_(count) { ++count_; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() { --count_; }

 private:
  std::size_t& count_;
};

/// Answers a request that is not served, whatever it asks for. Its method is kOther where nothing is known of it.
Task<void> refuse_request(ShardServer& server, ListenerId listener, tls::Stream& stream, const Peer& peer, Wakeup& wakeup,
                          http::Method method, Failure failure) {
  Http1Downstream downstream(server, listener, stream, wakeup, peer);
  downstream.assume_method(method);
  co_await refuse_head(server, downstream, wakeup, failure);
  // Closing over a request that nobody has read would reset the connection, and the client might lose the refusal.
  static_cast<void>(stream.read(server.shard().scratch()));
  if (server.refused() == ShardServer::kRefusedMax) co_return;
  const Counted counted(server.refused());
  co_await downstream.linger();
}

/// Plain HTTP where TLS is spoken: says so, in plaintext, whatever it asks for.
Task<void> refuse_plain_http(ShardServer& server, ListenerId listener, tls::Stream& secured, const Peer& peer, Wakeup& wakeup) {
  const http::Method method = secured.has_heard_http_head() ? http::Method::kHead : http::Method::kOther;
  tls::Stream stream(std::move(secured.socket()));
  const Failure failure = Failure::downstream(Reason::kBadRequest, "plain HTTP was sent to a port of HTTPS: use https://");
  co_await refuse_request(server, listener, stream, peer, wakeup, method, failure);
}

/// One connection too many: says so in plaintext. Over TLS nothing can be said without a handshake, and none is paid for.
Task<void> refuse_connection(ShardServer& server, ListenerId listener, runtime::Socket socket, runtime::Address address,
                             bool tls, Wakeup& wakeup, const char* cause) {
  server.cells().connections_refused.add();
  if (tls) co_return;
  tls::Stream stream(std::move(socket));
  const std::string ip = address.ip();
  const Peer peer{ip, false, false};
  const Failure failure = Failure::downstream(Reason::kTooManyConnections, cause);
  co_await refuse_request(server, listener, stream, peer, wakeup, http::Method::kOther, failure);
}

/// What a connection holds from its beginning to its end: all that it holds while it asks for nothing.
struct Client {
  std::optional<ConnectionLimits::Permit> permit;
  std::optional<Enlisted> enlisted;
  std::shared_ptr<tls::ServerContext> context;  // null: plaintext
  tls::Stream stream;
  std::optional<IdleConnections::Entry> idle;  // once there is a stream
  std::string ip;
  Peer peer;
  std::size_t requests = 0;      // so far
  Deadline idle_until = kNever;  // it is closed then if it has asked for nothing
  Deadline look = kNever;        // until its first request: when to ask whether permits have become few
};

Deadline keep_alive_end(ShardServer& server) {
  return deadline_after(server.shard().now(), server.view()->limits.keep_alive_timeout);
}

/// Few permits are left: who has asked for nothing yet has header_timeout for that, instead of keep_alive_timeout, which load
/// balancers' pools need that open connections in advance.
bool is_crowded(ShardServer& server) {
  return server.connection_limits().open() * 5 > server.view()->limits.max_connections * 4;
}

Deadline header_end(ShardServer& server) { return deadline_after(server.shard().now(), server.view()->limits.header_timeout); }

/// At the limit: the permit of an idle connection of this shard, else of another one. Nothing: none is idle.
Task<std::optional<ConnectionLimits::Permit>> take_permit_of_an_idle_one(ShardServer& server, Wakeup& wakeup, std::size_t max) {
  // Beyond the limit, which a reload has lowered: one more goes, so that in the end it is kept.
  if (server.connection_limits().open() > max) static_cast<void>(server.make_room());
  std::optional<ConnectionLimits::Permit> permit = server.make_room();
  if (permit || server.searches() == ShardServer::kSearchesMax) co_return permit;
  const Counted counted(server.searches());
  RoomSearch search(server, wakeup);
  std::optional<ConnectionLimits::Permit> found = co_await search.run_round();
  co_return found;
}

/// From accepted to ready for requests: the limits, PROXY protocol, TLS. False: the connection is over. What only this needs
/// ends with it.
Task<bool> begin(ShardServer& server, ListenerId listener, runtime::Socket& socket, runtime::Address& address, Wakeup& wakeup,
                 Client& client) {
  // What the connection needs of the configuration is taken now; a later one acts on later connections, and may not know the
  // listener any more.
  const ListenerSettings& settings = server.view()->listeners.at(listener);
  const config::Limits& limits = server.view()->limits;
  client.context = settings.tls.empty() ? nullptr : settings.tls[server.shard().index()];
  const bool tls = client.context != nullptr;
  const bool proxied = settings.proxy_protocol;
  const std::size_t at_once = tls ? handshakes_at_once(limits, settings.tls.size()) : 0;
  const std::size_t per_client = limits.max_connections_per_client;
  const Deadline deadline = deadline_after(server.shard().now(), limits.header_timeout);
  bool trusted = server.view()->trusted_proxies.contains(address);

  std::optional<ConnectionLimits::Permit> permit = server.connection_limits().enter(limits.max_connections);
  // Who has its own limit full is refused anyway, and must not cost another client its connection.
  if (!permit && ((proxied && trusted) || server.connection_limits().has_room(address, per_client))) {
    std::optional<ConnectionLimits::Permit> taken = co_await take_permit_of_an_idle_one(server, wakeup, limits.max_connections);
    if (taken) permit.emplace(std::move(*taken));
  }
  if (!permit) {
    co_await refuse_connection(server, listener, std::move(socket), address, tls, wakeup, "max_connections is reached");
    co_return false;
  }
  client.permit.emplace(std::move(*permit));
  client.enlisted.emplace(server, wakeup);
  if (proxied && trusted) {
    const Result<ProxyHeader> header = co_await read_proxy_header(socket, wakeup, deadline, server.first_requests_end());
    if (!header) co_return false;
    address = header->client.value_or(address).unmapped();
    // Somebody whom the proxy does not know either may not speak for others.
    trusted = header->local || (header->client && server.view()->trusted_proxies.contains(address));
  }
  if (!client.permit->enter(address, per_client)) {
    co_await refuse_connection(server, listener, std::move(socket), address, tls, wakeup,
                               "max_connections_per_client is reached");
    co_return false;
  }
  client.ip = address.ip();
  client.peer = {client.ip, trusted, tls};
  client.stream = tls ? tls::Stream(std::move(socket), *client.context) : tls::Stream(std::move(socket));
  client.idle.emplace(server.idle(), client.stream.socket(), *client.permit);
  if (tls) {
    const bool secured = co_await shake_hands(server, client.stream, wakeup, deadline, at_once, *client.idle);
    const bool answers = !secured && client.stream.has_heard_http() && client.stream.is_open();
    if (answers) {
      client.idle->leave();  // its socket goes
      co_await refuse_plain_http(server, listener, client.stream, client.peer, wakeup);
    }
    if (!secured) co_return false;
  }
  client.idle_until = keep_alive_end(server);
  client.look = header_end(server);
  co_return true;
}

/// Serves requests, one after the other, until none is at hand: true. False: the connection is over.
Task<bool> serve_requests(ShardServer& server, ListenerId listener, Client& client, Wakeup& wakeup) {
  using Next = Http1Downstream::Next;
  Http1Downstream downstream(server, listener, client.stream, wakeup, client.peer);
  for (int exchanges = 1;; ++exchanges) {
    const Result<Next> next = co_await downstream.next_head(&*client.idle);
    if (next && *next != Next::kRequest) co_return *next == Next::kNothing;
    if (++client.requests >= server.view()->limits.requests_per_connection) downstream.close_after();
    if (next) {
      co_await run_exchange(server, downstream, wakeup);
    } else {
      co_await refuse_head(server, downstream, wakeup, next.error());
    }
    if (!downstream.finish()) break;
    client.idle_until = keep_alive_end(server);
    if (!downstream.has_begun()) co_return true;
    // Requests that are all there and need no pod are answered without waiting once: the other connections have their turn.
    if (exchanges % kExchangesPerTurn == 0) co_await wakeup.wait(server.shard().now());
  }
  co_await downstream.linger();
  co_return false;
}

/// Until when a connection that asks for nothing stays. A step of the drain may bring it nearer, and wakes.
Deadline idle_end(ShardServer& server, const Client& client) {
  if (!server.closing_idle()) return client.requests > 0 ? client.idle_until : std::min(client.idle_until, client.look);
  return client.requests > 0 ? server.shard().now() : std::min(client.idle_until, server.first_requests_end());
}

/// A client that has not asked yet, and may go on: it was only looked at whether permits have become few.
bool may_go_on(ShardServer& server, Client& client) {
  const bool looked = client.requests == 0 && !server.closing_idle() && server.shard().now() < client.idle_until;
  if (!looked || is_crowded(server)) return false;
  client.look = header_end(server);
  return true;
}

}  // namespace

Task<void> serve_connection(ShardServer& server, ListenerId listener, runtime::Socket socket, runtime::Address address) {
  Wakeup wakeup(server.shard());
  socket.set_waker(&wakeup);
  Client client;
  const bool begun = co_await begin(server, listener, socket, address, wakeup, client);
  if (!begun) co_return;
  for (;;) {
    const bool stays = co_await serve_requests(server, listener, client, wakeup);
    if (!stays) co_return;
    client.stream.arm_read();
    client.idle->rest(client.requests > 0 ? IdleConnections::Since::kRequest : IdleConnections::Since::kAccepted);
    do {
      const bool woken = co_await wakeup.wait(idle_end(server, client));
      if (client.idle->cut()) co_return;
      if (woken) continue;
      // Nobody has asked for anything, as far as we have been told. What the kernel has by now is served, too.
      if (!client.stream.socket().has_arrived()) {
        if (may_go_on(server, client)) continue;
        co_return;
      }
      client.idle_until = header_end(server);
      client.look = kNever;
    } while (client.stream.socket().read_armed() && !server.grace_over());
    client.idle->leave();
  }
}

}  // namespace router::proxy

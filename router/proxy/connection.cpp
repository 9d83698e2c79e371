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

/// Counts a connection while it exists, and registers its wakeup so that the drain can wake it.
class Enlisted {
 public:
  Enlisted(ShardServer& server, Wakeup& wakeup) : server_(server), wakeup_(wakeup) {
    server_.enlist(wakeup_);  // first: it may throw std::bad_alloc
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

/// Returns false if the handshake failed, took too long, or was cut to make room for another connection. A connection that the
/// client closes before it sends a byte does not count as a failed handshake: load balancers check in this way whether a port
/// is open.
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
    if (!begun) idle.begin(server.shard().now());  // the first bytes of the handshake
    begun = true;
    if (!woken) break;
  }
  idle.leave();
  if (!closed || !stream.has_heard_nothing()) server.cells().handshakes_failed.add();
  co_return false;
}

/// This shard's share of the handshakes that the process may run at the same time.
std::size_t handshakes_at_once(const config::Limits& limits, std::size_t shards) {
  return std::max<std::size_t>(limits.max_handshakes / shards, 1);
}

/// Increments a counter while it exists: a refused connection that is still read, or a search for a permit on other shards.
class Counted {
 public:
  explicit Counted(std::size_t& count) : count_(count) { ++count_; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() { --count_; }

 private:
  std::size_t& count_;
};

/// Where a connection is served.
struct ServedAt {
  ShardServer& server;
  ListenerId listener;
  Wakeup& wakeup;
};

/// Answers a request that is not served, whatever it contains. `method` is kOther if it is not known.
Task<void> refuse_request(ServedAt at, tls::Stream& stream, const Peer& peer, http::Method method, Failure failure) {
  Http1Downstream downstream(at.server, at.listener, stream, at.wakeup, peer);
  downstream.assume_method(method);
  co_await refuse_head(at.server, downstream, at.wakeup, failure);
  // Closing a socket that holds unread bytes resets the connection, and the client might lose the answer.
  static_cast<void>(stream.read(at.server.shard().scratch()));
  if (at.server.refused() == ShardServer::kRefusedMax) co_return;
  const Counted counted(at.server.refused());
  co_await downstream.linger();
}

/// Answers plain HTTP on a TLS port in plaintext, whatever the request contains.
Task<void> refuse_plain_http(ServedAt at, tls::Stream& secured, const Peer& peer) {
  const http::Method method = secured.has_heard_http_head() ? http::Method::kHead : http::Method::kOther;
  tls::Stream stream(std::move(secured.socket()));
  const Failure failure = Failure::downstream(Reason::kBadRequest, "plain HTTP was sent to an HTTPS port: use https://");
  co_await refuse_request(at, stream, peer, method, failure);
}

/// Refuses a connection beyond a limit. A plaintext client gets an answer. A TLS client gets none, since an answer would need a
/// handshake.
Task<void> refuse_connection(ServedAt at, runtime::Socket socket, runtime::Address address, bool tls, const char* cause) {
  at.server.cells().connections_refused.add();
  if (tls) co_return;
  tls::Stream stream(std::move(socket));
  const std::string ip = address.ip();
  const Peer peer{ip, false, false};
  const Failure failure = Failure::downstream(Reason::kTooManyConnections, cause);
  co_await refuse_request(at, stream, peer, http::Method::kOther, failure);
}

/// The state of a connection from accept to close. A connection without a request holds nothing else.
struct Client {
  std::optional<ConnectionLimits::Permit> permit;
  std::optional<Enlisted> enlisted;
  std::shared_ptr<tls::ServerContext> context;  // null: plaintext
  tls::Stream stream;
  std::optional<IdleConnections::Entry> idle;  // set once the stream exists
  std::string ip;
  Peer peer;
  std::size_t requests = 0;      // requests served so far
  Deadline idle_until = kNever;  // without a request the connection is closed at this time
  Deadline look = kNever;        // before the first request: when to check whether permits are short
};

Deadline keep_alive_end(ShardServer& server) {
  return deadline_after(server.shard().now(), server.view()->limits.keep_alive_timeout);
}

/// Whether permits are short. Then a connection without a first request is closed after header_timeout instead of
/// keep_alive_timeout. Connection pools of load balancers open connections in advance and need the longer time.
bool is_crowded(ShardServer& server) {
  return server.connection_limits().open() * 5 > server.view()->limits.max_connections * 4;
}

Deadline header_end(ShardServer& server) { return deadline_after(server.shard().now(), server.view()->limits.header_timeout); }

/// Called at the limit of connections. Takes the permit of an idle connection of this shard, or else of another shard. Returns
/// nothing if no connection is idle. Suspends.
Task<std::optional<ConnectionLimits::Permit>> take_permit_of_an_idle_one(ShardServer& server, Wakeup& wakeup, std::size_t max) {
  // A reload has lowered the limit: one more idle connection is closed for each new one, until the limit is kept.
  if (server.connection_limits().open() > max) static_cast<void>(server.make_room());
  std::optional<ConnectionLimits::Permit> permit = server.make_room();
  if (permit || server.searches() == ShardServer::kSearchesMax) co_return permit;
  const Counted counted(server.searches());
  RoomSearch search(server, wakeup);
  std::optional<ConnectionLimits::Permit> found = co_await search.run_round();
  co_return found;
}

/// Prepares an accepted connection for requests: limits, PROXY protocol, TLS. Returns false if the connection is over. It is a
/// coroutine of its own so that the memory it needs is released when it returns.
Task<bool> begin(ServedAt at, runtime::Socket& socket, runtime::Address& address, Client& client) {
  ShardServer& server = at.server;
  Wakeup& wakeup = at.wakeup;
  // Copy what the connection needs of the configuration now. A later view acts on later connections and may not contain this
  // listener any more.
  const ListenerSettings& settings = server.view()->listeners.at(at.listener);
  const config::Limits& limits = server.view()->limits;
  client.context = settings.tls.empty() ? nullptr : settings.tls[server.shard().index()];
  const bool tls = client.context != nullptr;
  const bool proxied = settings.proxy_protocol;
  const std::size_t at_once = tls ? handshakes_at_once(limits, settings.tls.size()) : 0;
  const std::size_t per_client = limits.max_connections_per_client;
  const Deadline deadline = deadline_after(server.shard().now(), limits.header_timeout);
  bool trusted = server.view()->trusted_proxies.contains(address);

  std::optional<ConnectionLimits::Permit> permit = server.connection_limits().enter(limits.max_connections);
  // A client at its own limit is refused in any case, so no idle connection of another client is closed for it.
  if (!permit && ((proxied && trusted) || server.connection_limits().has_room(address, per_client))) {
    std::optional<ConnectionLimits::Permit> taken = co_await take_permit_of_an_idle_one(server, wakeup, limits.max_connections);
    if (taken) permit.emplace(std::move(*taken));
  }
  if (!permit) {
    co_await refuse_connection(at, std::move(socket), address, tls, "max_connections is reached");
    co_return false;
  }
  client.permit.emplace(std::move(*permit));
  client.enlisted.emplace(server, wakeup);
  if (proxied && trusted) {
    const Result<ProxyHeader> header = co_await read_proxy_header(socket, wakeup, deadline, server.first_requests_end());
    if (!header) co_return false;
    address = header->client.value_or(address).unmapped();
    // A client whose address the proxy does not know must not be trusted to name other clients in its fields.
    trusted = header->local || (header->client && server.view()->trusted_proxies.contains(address));
  }
  if (!client.permit->enter(address, per_client)) {
    co_await refuse_connection(at, std::move(socket), address, tls, "max_connections_per_client is reached");
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
      client.idle->leave();  // its socket is moved away
      co_await refuse_plain_http(at, client.stream, client.peer);
    }
    if (!secured) co_return false;
  }
  client.idle_until = keep_alive_end(server);
  client.look = header_end(server);
  co_return true;
}

/// Serves requests, one after the other. Returns true when no further request has begun to arrive, false when the connection is
/// over.
Task<bool> serve_requests(ShardServer& server, ListenerId listener, Client& client, Wakeup& wakeup) {
  using Next = Http1Downstream::Next;
  Http1Downstream downstream(server, listener, client.stream, wakeup, client.peer);
  for (int exchanges = 1;; ++exchanges) {
    const Result<Next> next = co_await downstream.next_head(&*client.idle);
    if (next && *next != Next::kRequest) co_return *next == Next::kNothing;
    if (++client.requests >= server.view()->limits.requests_per_connection) downstream.leave(stream::Leaving::kClose);
    if (next) {
      co_await run_exchange(server, downstream, wakeup);
    } else {
      co_await refuse_head(server, downstream, wakeup, next.error());
    }
    if (!downstream.finish()) break;
    client.idle_until = keep_alive_end(server);
    if (!downstream.has_begun()) co_return true;
    // Pipelined requests that need no pod are answered without one suspension: yield, so that other connections make progress.
    if (exchanges % kExchangesPerTurn == 0) co_await wakeup.wait(server.shard().now());
  }
  co_await downstream.linger();
  co_return false;
}

/// When a connection without a request is closed. A step of the drain may move this time nearer; it then wakes the connection.
Deadline idle_end(ShardServer& server, const Client& client) {
  if (!server.closing_idle()) return client.requests > 0 ? client.idle_until : std::min(client.idle_until, client.look);
  return client.requests > 0 ? server.shard().now() : std::min(client.idle_until, server.first_requests_end());
}

/// Whether a connection may stay open at its `look` time: it has not sent its first request, and permits are not short.
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
  const ServedAt at{server, listener, wakeup};
  const bool begun = co_await begin(at, socket, address, client);
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
      // The wait has timed out without an event. Bytes that the kernel has received by now are served, too.
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

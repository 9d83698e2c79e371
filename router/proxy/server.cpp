#include "router/proxy/server.h"

#include <sys/socket.h>
#include <unistd.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "router/base/assert.h"
#include "router/proxy/connection.h"

namespace router::proxy {
namespace {

/// Says so in plaintext; over TLS there is no handshake yet to say it in.
void refuse_connection(int descriptor, bool plaintext, std::span<char> scratch) {
  constexpr std::string_view kBody = R"({"error":{"code":"too_many_connections","message":"max_connections is reached"}})";
  static const std::string refusal =
      "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Type: application/json\r\nx-router-reason: "
      "too_many_connections\r\n"
      "Content-Length: " +
      std::to_string(kBody.size()) + "\r\n\r\n" + std::string(kBody);
  if (plaintext) {
    ::send(descriptor, refusal.data(), refusal.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    // Closing over a request that nobody has read would reset the connection, and the client would lose the refusal, too.
    static_cast<void>(::recv(descriptor, scratch.data(), scratch.size(), MSG_DONTWAIT));
  }
  ::close(descriptor);
}

}  // namespace

ShardServer::ShardServer(runtime::Shard& shard, const Views& views, metrics::ShardCells& cells, std::size_t shards,
                         std::atomic<std::size_t>& connections_open)
    : shard_(shard),
      views_(views),
      cells_(cells),
      connections_open_(connections_open),
      mirrors_(shard, shards, cells),
      connections_(shard, kConnectionsMax) {}

void ShardServer::open_listener(ListenerId listener, runtime::ListeningSocket socket) {
  const auto accepted = [this, listener](int descriptor, const runtime::Address& peer) { accept(listener, descriptor, peer); };
  acceptors_.try_emplace(listener, shard_, socket.release(), accepted);
}

void ShardServer::close_listener(ListenerId listener) {
  const auto found = acceptors_.find(listener);
  if (found == acceptors_.end()) return;
  found->second.accept_what_has_arrived_and_close();
  acceptors_.erase(found);
}

void ShardServer::close_listeners() {
  while (!acceptors_.empty()) close_listener(acceptors_.begin()->first);
}

void ShardServer::accept(ListenerId listener, int descriptor, const runtime::Address& peer) {
  cells_.connections_total.add();
  const View& newest = *view();
  const auto settings = newest.listeners.find(listener);
  const bool is_known = settings != newest.listeners.end();
  ROUTER_ASSERT(is_known);  // the order of a change sees to it
  if (!is_known) {
    ::close(descriptor);
    return;
  }
  if (connections_open_.fetch_add(1, std::memory_order_relaxed) >= newest.limits.max_connections) {
    connection_closed();
    cells_.connections_refused.add();
    return refuse_connection(descriptor, settings->second.tls.empty(), shard_.scratch());
  }
  connections_.try_spawn(serve_connection(*this, listener, runtime::Socket(shard_, descriptor), peer));
}

void ShardServer::close_idle() {
  closing_idle_ = true;
  first_requests_end_ = shard_.now() + kFirstRequest;
  mirrors_.stop();
  wake_all();
}

void ShardServer::end_line() {
  line_over_ = true;
  wake_all();
}

void ShardServer::end_grace() {
  grace_over_ = true;
  wake_all();
}

void ShardServer::wake_all() {
  const std::vector<runtime::Wakeup*> all(enlisted_.begin(), enlisted_.end());
  for (runtime::Wakeup* wakeup : all) {
    if (enlisted_.contains(wakeup)) wakeup->wake();  // an earlier one may have ended it
  }
}

}  // namespace router::proxy

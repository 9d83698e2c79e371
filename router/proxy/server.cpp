#include "router/proxy/server.h"

#include <unistd.h>

#include <algorithm>
#include <functional>
#include <tuple>
#include <utility>

#include "router/base/assert.h"
#include "router/proxy/connection.h"
#include "router/proxy/member_connection.h"

namespace router::proxy {

ShardServer::ShardServer(runtime::Shard& shard, const Views& views, metrics::ShardCells& cells, std::size_t shards,
                         ConnectionLimits& connection_limits)
    : shard_(shard),
      views_(views),
      cells_(cells),
      connection_limits_(connection_limits),
      gathering_room_(GatheringRoom::kProcessBytes / shards),
      mirrors_(shard, shards, cells),
      connections_(shard, kConnectionsMax),
      members_(shard, kMemberConnectionsMax) {}

void ShardServer::open_listener(ListenerId listener, runtime::ListeningSocket& socket) {
  const auto accepted = [this, listener](int descriptor, const runtime::Address& peer) { accept(listener, descriptor, peer); };
  acceptors_.emplace(std::piecewise_construct, std::forward_as_tuple(listener),
                     std::forward_as_tuple(shard_, std::ref(socket), accepted));
}

void ShardServer::close_listener(ListenerId listener) {
  const auto [begin, end] = acceptors_.equal_range(listener);
  std::for_each(begin, end, [](auto& each) { each.second.accept_what_has_arrived_and_close(); });
  acceptors_.erase(begin, end);
}

void ShardServer::close_listeners() {
  while (!acceptors_.empty()) close_listener(acceptors_.begin()->first);
}

void ShardServer::accept(ListenerId listener, int descriptor, const runtime::Address& peer) {
  cells_.connections_total.add();
  const bool is_known = view()->listeners.contains(listener);
  ROUTER_ASSERT(is_known);  // a listener is published before it opens and removed after it closes
  if (!is_known) {
    ::close(descriptor);
    return;
  }
  connections_.try_spawn(
      serve_connection(*this, listener, runtime::Socket(shard_, descriptor, runtime::Precedence::kLater), peer.unmapped()));
}

bool ShardServer::serve_member(runtime::Socket socket, std::shared_ptr<tls::PskServerContext> context) {
  return members_.try_spawn(proxy::serve_member(*this, std::move(socket), std::move(context)));
}

std::optional<ConnectionLimits::Permit> ShardServer::make_room() {
  std::optional<ConnectionLimits::Permit> permit = idle_.make_room(shard().now());
  if (permit) cells_.connections_displaced.add();
  return permit;
}

void ShardServer::close_idle() {
  closing_idle_ = true;
  first_requests_end_ = shard_.now() + kFirstRequest;
  runtime::Wakeup::wake_all(enlisted_);
  mirrors_.stop();
}

void ShardServer::refuse_waiters() noexcept {
  refuses_waiters_ = true;
  runtime::Wakeup::wake_all(enlisted_);
}

void ShardServer::end_grace() noexcept {
  grace_over_ = true;
  runtime::Wakeup::wake_all(enlisted_);
}

}  // namespace router::proxy

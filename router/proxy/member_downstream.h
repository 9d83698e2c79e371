#pragma once

#include <string_view>

#include "router/base/time.h"
#include "router/proxy/http1_downstream.h"

namespace router::proxy {

/// The client's side of requests that another router of the fleet sends on: that router is the client, and a member. It has
/// authenticated and limited its own client, whose slowness is its business. Before a pod gets the first byte of a request, the
/// member is told by the interim answer 199; the end of the connection (FIN) without it proves that no pod has seen the
/// request. See docs/decisions/0072-requests-sent-on.md. One shard.
class MemberDownstream final : public Http1Downstream {
 public:
  MemberDownstream(ShardServer& server, tls::Stream& stream, runtime::Wakeup& wakeup, const Peer& peer)
      : Http1Downstream(server, stream, wakeup, peer) {}

  /// Writes the interim answer 199; `flush` sends it. `queued`: since the request came to the queue.
  void announce(std::string_view replica, Duration queued);
  /// An exchange begins: nothing was announced yet.
  void begin_exchange() { announced_ = false; }
  /// kReset: with a TCP reset if a pod may have seen the request.
  void leave(stream::Leaving how) override;

  /// Limits that concern clients only do not apply to a member: it applies them to its own client, with whose pace it reads and
  /// sends. A member that does nothing at all for 5 minutes is cut: it is frozen or lost, and its request holds a slot. Not
  /// sooner, because the pace of a slow client is not even here. The kernel takes no more bytes before half of the 256 KB that
  /// it keeps for the member are gone, and the member takes none before its own kernel has as much room for its client: a
  /// client that takes 1 KB/s may need minutes for that.
  static const config::Limits& limits();

 private:
  bool announced_ = false;
};

}  // namespace router::proxy

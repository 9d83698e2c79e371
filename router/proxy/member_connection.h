#pragma once

#include <memory>

#include "router/base/task.h"
#include "router/runtime/socket.h"
#include "tls/psk.h"

namespace router::proxy {

class ShardServer;

/// Serves one connection of another router of the fleet on which requests are sent on: its exchanges one after the other. The
/// peer is trusted: with TLS, the handshake proves that it is a member; `context` (nullptr: plaintext) is this shard's and
/// belongs to the connection. A connection that has not proven the key is a stranger's: 64 of a shard at most, the oldest makes
/// room, and a drain ends it after a second. Every handshake ends within 5 s. A member's connection ends in order (FIN) where
/// nothing is open: when the peer closes, after 15 minutes without a request, and in a drain. Suspends.
Task<void> serve_member(ShardServer& server, runtime::Socket socket, std::shared_ptr<tls::PskServerContext> context);

}  // namespace router::proxy

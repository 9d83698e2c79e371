#pragma once

#include "router/base/task.h"
#include "router/proxy/view.h"
#include "router/runtime/address.h"
#include "router/runtime/socket.h"

namespace router::proxy {

class ShardServer;

/// Serves one client connection from accept to close: PROXY protocol, TLS, then its exchanges one after the other. Suspends.
Task<void> serve_connection(ShardServer& server, ListenerId listener, runtime::Socket socket, runtime::Address peer);

}  // namespace router::proxy

#pragma once

#include "router/base/task.h"
#include "router/proxy/downstream.h"

namespace router::proxy {

class Exchange;

/// Whether the body must arrive before the request enters the queue, and has not arrived yet (contract, section 5: a slow
/// sender holds no slot). This applies to a body with a Content-Length of at most 64 KB, and to a body without a length.
/// Exceptions among the latter: the client waits for 100 (Continue), which is sent while the slot is held, or the request is
/// gRPC, where the pod may answer the first message.
bool gathers_first(Downstream& downstream);

/// Waits for the body without holding a slot: for all of it, or, without a length, for its first 64 KB or until the client has
/// sent nothing for 100 ms. Returns at once if the shard has no room left for such bodies. Suspends. Fails with client_timeout
/// (`body_timeout_ms`, `min_body_rate`, the client's own deadline), client_closed, bad_request, or draining.
Task<Result<void>> gather(Exchange& exchange);

}  // namespace router::proxy

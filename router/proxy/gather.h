#pragma once

#include "config/config.h"
#include "router/base/task.h"
#include "router/proxy/downstream.h"
#include "router/proxy/patience.h"
#include "router/proxy/record.h"
#include "router/runtime/wakeup.h"

namespace router::proxy {

class ShardServer;

/// Whether the request's body is to arrive before the request joins its queue, and has not yet (contract, section 5: a slow
/// sender holds no slot): one with a Content-Length of at most 64 KB; one without a length, unless its client waits for a
/// 100 (Continue), which is sent under the slot, or speaks gRPC, where the pod may answer the first message.
bool gathers_first(Downstream& downstream);

/// Waits, without a slot, for the body: all of it, or without a length its first 64 KB, or until the client has sent nothing
/// for 100 ms; at once if the shard has gathered too much. Suspends. Fails with client_timeout (`body_timeout_ms`,
/// `min_body_rate`, the client's own patience), client_closed, bad_request, or draining.
Task<Result<void>> gather(ShardServer& server, Downstream& downstream, Patience patience, const config::Limits& limits,
                          runtime::Wakeup& wakeup, Record& record);

}  // namespace router::proxy

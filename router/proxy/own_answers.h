#pragma once

#include "router/base/task.h"
#include "router/http/head.h"
#include "router/proxy/downstream.h"
#include "router/runtime/wakeup.h"

namespace router::proxy {

class ShardServer;

/// Whether the router itself answers the request, without counting it as one: `GET` or `HEAD /healthz` on any listener (a
/// health check of a load balancer), and an OPTIONS request with `Max-Forwards: 0`, which must not be forwarded whatever its
/// target is (RFC 9110, 7.6.2).
bool is_answered_here(const http::RequestHead& head);

/// Answers such a request. Suspends.
Task<void> answer_here(ShardServer& server, Downstream& downstream, runtime::Wakeup& wakeup);

}  // namespace router::proxy

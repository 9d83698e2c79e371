#pragma once

#include "router/base/task.h"
#include "router/proxy/downstream.h"
#include "router/runtime/wakeup.h"

namespace router::proxy {

class ShardServer;

/// Runs one request from its head to the last byte of its answer. Read exchange.cpp first: it is the main path of the router.
/// Suspends. In every case the request is answered or its connection is cut, and the slot is given back. The exchange is
/// counted and logged once, except for `/healthz` and OPTIONS with `Max-Forwards: 0`, which take no slot.
Task<void> run_exchange(ShardServer& server, Downstream& downstream, runtime::Wakeup& wakeup);

/// Answers a request whose head could not be read. The metrics and the access log contain it like any other request. Suspends.
Task<void> refuse_head(ShardServer& server, Downstream& downstream, runtime::Wakeup& wakeup, Failure failure);

}  // namespace router::proxy

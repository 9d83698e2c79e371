#pragma once

#include "router/base/task.h"
#include "router/proxy/downstream.h"
#include "router/runtime/wakeup.h"

namespace router::proxy {

class ShardServer;

/// One request from its head to the last byte of its answer. Read this file first: it is the straight line of the product.
/// Suspends. Whatever happens, the exchange is answered or cut, the slot given back, and the exchange told once.
Task<void> run_exchange(ShardServer& server, Downstream& downstream, runtime::Wakeup& wakeup);

/// Answers a request whose head could not be read; told in the metrics and the log like any other.
Task<void> refuse_head(ShardServer& server, Downstream& downstream, runtime::Wakeup& wakeup, Failure failure);

}  // namespace router::proxy

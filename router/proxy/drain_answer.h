#pragma once

#include "router/base/task.h"
#include "router/model/table.h"
#include "router/runtime/wakeup.h"
#include "router/upstream/exchange.h"
#include "router/wire/cancellation.h"

namespace router::proxy {

/// Reads an answer that nobody waits for, to its end, and drops it; every timeout stays in force. The request was sent.
/// Suspends. Fails with what the pod did, or with what `cancellation` says.
Task<Result<void>> drain_answer(upstream::UpstreamExchange& exchange, const model::Deployment& deployment,
                                runtime::Wakeup& wakeup, wire::Cancellation& cancellation);

}  // namespace router::proxy

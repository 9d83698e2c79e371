#pragma once

#include "router/base/task.h"
#include "router/model/table.h"
#include "router/runtime/wakeup.h"
#include "router/stream/cancellation.h"
#include "router/upstream/exchange.h"

namespace router::proxy {

/// Reads an answer that is not used to its end, and drops it. The deployment's timeouts still apply. The request was sent
/// before. Suspends. Fails with the failure of the pod, or with the failure of `cancellation`.
Task<Result<void>> drain_answer(upstream::UpstreamExchange& exchange, const model::Deployment& deployment,
                                runtime::Wakeup& wakeup, stream::Cancellation& cancellation);

}  // namespace router::proxy

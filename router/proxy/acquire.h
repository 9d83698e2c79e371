#pragma once

#include "router/base/task.h"
#include "router/dispatch/request_queue.h"
#include "router/runtime/wakeup.h"
#include "router/stream/cancellation.h"

namespace router::proxy {

/// Waits in the queue for a slot until `deadline`, or until the exchange is no longer wanted. If the exchange had a `position`
/// before, it waits there. Suspends. On failure no slot is held. Fails with queue_full, deadline_unmeetable, queue_timeout,
/// no_ready_replica, deployment_not_found (the deployment was removed meanwhile), or with the failure of `cancellation`.
Task<Result<dispatch::HeldSlot>> acquire(dispatch::RequestQueue& queue, dispatch::QueuePosition position, Deadline deadline,
                                         runtime::Wakeup& wakeup, stream::Cancellation& cancellation);

}  // namespace router::proxy

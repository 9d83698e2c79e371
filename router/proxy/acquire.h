#pragma once

#include "router/base/task.h"
#include "router/dispatch/request_queue.h"
#include "router/proxy/holding.h"
#include "router/runtime/wakeup.h"
#include "router/stream/cancellation.h"

namespace router::proxy {

/// Waits in the queue for a slot until `deadline`, or until the exchange is no longer wanted. If the exchange had a `position`
/// before, it waits there. Suspends. On failure no slot is held. Fails with queue_full, deadline_unmeetable, queue_timeout,
/// no_ready_replica, deployment_not_found (the deployment was removed meanwhile), or with the failure of `cancellation`. If it
/// is held for a first replica, `holding` says until when instead of `deadline`, and it fails with waking if it may not be
/// held.
Task<Result<dispatch::HeldSlot>> acquire(dispatch::RequestQueue& queue, dispatch::QueuePosition position, Deadline deadline,
                                         runtime::Wakeup& wakeup, stream::Cancellation& cancellation,
                                         Holding* holding = nullptr);

}  // namespace router::proxy

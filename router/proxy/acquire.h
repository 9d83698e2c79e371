#pragma once

#include "router/base/task.h"
#include "router/dispatch/request_queue.h"
#include "router/runtime/wakeup.h"
#include "router/wire/cancellation.h"

namespace router::proxy {

/// Waits in the queue for a slot until `deadline`, or until the exchange is no longer wanted; at `position`, if it had one
/// before. Suspends. On failure nothing is held. Fails with queue_full, deadline_unmeetable, queue_timeout, no_ready_replica,
/// deployment_not_found (removed meanwhile), or what `cancellation` says.
Task<Result<dispatch::HeldSlot>> acquire(dispatch::RequestQueue& queue, dispatch::QueuePosition position, Deadline deadline,
                                         runtime::Wakeup& wakeup, wire::Cancellation& cancellation);

}  // namespace router::proxy

#pragma once

#include <memory>

#include "router/base/result.h"
#include "router/base/task.h"
#include "router/dispatch/request_queue.h"
#include "router/upstream/connection.h"
#include "router/wire/cancellation.h"

namespace router::upstream {

/// Lays a connection of this shard into the held slot, where it rests until somebody takes the slot. Where there is no memory
/// for that it ends instead, and the slot stays empty: who calls this is on its way out, and has an outcome of its own to tell.
void put_back(const dispatch::HeldSlot& held_slot, std::shared_ptr<Connection> connection) noexcept;

/// Brings the connection that rests on another shard, `resting` of the held slot, over here. If it cannot serve here (it is
/// TLS, has ended, or `wanted` is false) it comes closing; nullptr: there is none any more. Suspends, until `deadline` or
/// until `cancellation` says no. On failure `held_slot` is gone: it is given back when the other shard has let go of the
/// connection, so that the slot never owns two.
Task<Result<std::shared_ptr<Connection>>> fetch(dispatch::HeldSlot& held_slot, std::unique_ptr<RestingConnection> resting,
                                                bool wanted, Deadline deadline, runtime::Wakeup& wakeup,
                                                wire::Cancellation& cancellation);

}  // namespace router::upstream

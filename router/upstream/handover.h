#pragma once

#include <memory>

#include "router/base/result.h"
#include "router/base/task.h"
#include "router/dispatch/request_queue.h"
#include "router/stream/cancellation.h"
#include "router/upstream/connection.h"

namespace router::upstream {

/// Puts a connection of this shard into the held slot, where it is idle until the slot is taken. If memory is short, the
/// connection ends and the slot stays empty; the caller already has a result of its own, so this is not an error.
void put_back(const dispatch::HeldSlot& held_slot, std::shared_ptr<Connection> connection) noexcept;

/// Moves `resting`, the idle connection of the held slot, from another shard to this one. If it cannot serve here (it is TLS,
/// unfit, or `wanted` is false), it arrives closing; nullptr: it has ended. Suspends until `deadline` at most, or until
/// `cancellation` fails. On failure `held_slot` is empty: the slot is given back once the other shard has released the
/// connection, so that the slot never owns two.
Task<Result<std::shared_ptr<Connection>>> fetch(dispatch::HeldSlot& held_slot, std::unique_ptr<RestingConnection> resting,
                                                bool wanted, Deadline deadline, runtime::Wakeup& wakeup,
                                                stream::Cancellation& cancellation);

}  // namespace router::upstream

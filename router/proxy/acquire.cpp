#include "router/proxy/acquire.h"

#include <algorithm>

namespace router::proxy {

using dispatch::Lease;
using dispatch::Line;

Task<Result<Lease>> acquire(Line& line, dispatch::Place place, Deadline deadline, runtime::Wakeup& wakeup,
                            wire::Cancellation& cancellation) {
  if (const Result<void> allowed = cancellation.may_take_slot(); !allowed) co_return allowed.error();
  Result<Line::Entry> entry = line.enter(wakeup, deadline, place);
  if (!entry) co_return entry.error();
  if (entry->lease) co_return std::move(entry->lease);
  for (;;) {
    if (const Result<void> allowed = cancellation.may_take_slot(); !allowed) {
      line.leave(entry->waiter);
      co_return allowed.error();
    }
    Result<Lease> lease = Line::poll(entry->waiter);
    if (!lease || *lease) co_return lease;
    if (const Result<void> wanted = cancellation.still_wanted(); !wanted) {
      line.leave(entry->waiter);
      co_return wanted.error();
    }
    if (wakeup.shard().now() >= deadline) {
      const bool was_ready = line.leave(entry->waiter).replica_was_ready;
      co_return was_ready ? Failure::internal(Reason::kQueueTimeout, "no slot became free within max_queue_wait_ms")
                          : Failure::internal(Reason::kNoReadyReplica, "no replica of the deployment is ready");
    }
    co_await wakeup.wait(std::min(deadline, cancellation.ask_again(wakeup.shard().now())));
  }
}

}  // namespace router::proxy

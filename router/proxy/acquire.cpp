#include "router/proxy/acquire.h"

#include <algorithm>
#include <cerrno>

namespace router::proxy {

using dispatch::HeldSlot;
using dispatch::RequestQueue;

namespace {

Failure why_in_vain(const dispatch::Parting& parting) {
  if (parting.replica_was_ready) {
    return Failure::internal(Reason::kQueueTimeout, "no slot became free within max_queue_wait_ms");
  }
  if (parting.replicas_refuse) {
    return Failure::internal(Reason::kNoReadyReplica, "every replica of the deployment that is ready refuses connections",
                             ECONNREFUSED);
  }
  return Failure::internal(Reason::kNoReadyReplica, "no replica of the deployment is ready");
}

}  // namespace

Task<Result<HeldSlot>> acquire(RequestQueue& queue, dispatch::QueuePosition position, Deadline deadline,
                               runtime::Wakeup& wakeup, stream::Cancellation& cancellation, Holding* holding) {
  if (const Result<void> allowed = cancellation.may_take_slot(); !allowed) co_return allowed.error();
  Result<RequestQueue::Entry> entry = queue.enter(wakeup, deadline, position);
  if (!entry) co_return entry.error();
  if (entry->held_slot) co_return std::move(entry->held_slot);
  const bool held = holding != nullptr && entry->waiting.waking();
  if (held) deadline = holding->begin();
  for (;;) {
    if (const Result<void> allowed = cancellation.may_take_slot(); !allowed) {
      entry->waiting.leave();
      co_return allowed.error();
    }
    Result<HeldSlot> held_slot = entry->waiting.poll();
    if (!held_slot || *held_slot) co_return held_slot;
    if (const Result<void> wanted = cancellation.still_wanted(); !wanted) {
      entry->waiting.leave();
      co_return wanted.error();
    }
    if (held) {
      if (const Result<void> kept = holding->keep(); !kept) {
        entry->waiting.leave();
        co_return kept.error();
      }
    }
    if (wakeup.shard().now() >= deadline) {
      dispatch::Parting parting = entry->waiting.leave();
      if (parting.held_slot) co_return std::move(parting.held_slot);  // the slot was assigned before the waiter left
      co_return held ? Holding::in_vain() : why_in_vain(parting);
    }
    co_await wakeup.wait(std::min(deadline, cancellation.ask_again(wakeup.shard().now())));
  }
}

}  // namespace router::proxy

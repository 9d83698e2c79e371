#include <mutex>

#include "router/dispatch/request_queue.h"

/// A pod that is about to be removed gets no new exchange.
namespace router::dispatch {

void PodSlots::withdraw(bool withdrawn, RetiredConnections& retired, SlotNotices& notices) noexcept {
  const std::lock_guard lock(mutex_);
  if (withdrawn_ == withdrawn) return;
  withdrawn_ = withdrawn;
  change_slots(retired, notices);
}

void RequestQueue::set_withdrawn(PodSlots& pod, bool withdrawn) noexcept {
  RetiredConnections retired;
  SlotNotices notices;
  pod.withdraw(withdrawn, retired, notices);
  deliver(notices);
}

}  // namespace router::dispatch

#include "router/runtime/wakeup.h"

#include "router/base/assert.h"

namespace router::runtime {

void Wakeup::wake() {
  woken_ = true;
  if (waiting_) resume();
}

void Wakeup::suspend(std::coroutine_handle<> waiting, Deadline deadline) {
  ROUTER_ASSERT(!waiting_);
  waiting_ = waiting;
  deadline_ = deadline;
  // A timer that fires early costs one look at the clock; moving it at every wait would cost more. So it is only moved forward.
  if (deadline != kNever && (!queued() || deadline < when())) shard_.schedule(*this, deadline);
}

void Wakeup::resume() { std::exchange(waiting_, {}).resume(); }

void Wakeup::expired() {
  if (!waiting_ || deadline_ == kNever) return;
  if (deadline_ > shard_.now()) {
    shard_.schedule(*this, deadline_);
  } else {
    resume();
  }
}

}  // namespace router::runtime

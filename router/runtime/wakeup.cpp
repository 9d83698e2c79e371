#include "router/runtime/wakeup.h"

#include <exception>

#include "router/base/assert.h"
#include "router/runtime/contain.h"

namespace router::runtime {
namespace {

/// Asserts that this thread is not inside a coroutine that a Wakeup has resumed. Resuming another one from there could destroy
/// the first, or resume it again, in the middle of a step.
class InsideCoroutine {
#ifdef ROUTER_CHECKS
 public:
  InsideCoroutine() {
    ROUTER_ASSERT(!inside);
    inside = true;
  }
  InsideCoroutine(const InsideCoroutine&) = delete;
  InsideCoroutine& operator=(const InsideCoroutine&) = delete;
  ~InsideCoroutine() { inside = false; }

 private:
  static thread_local bool inside;
#else
 public:
  InsideCoroutine() {}  // NOLINT: not trivial, so that it may be unused
#endif
};

#ifdef ROUTER_CHECKS
thread_local bool InsideCoroutine::inside = false;
#endif

}  // namespace

void Wakeup::wake() {
  woken_ = true;
  if (waiting_) resume();
}

void Wakeup::wake_all(List& list) noexcept {
  List asleep;
  asleep.swap(list);
  while (!asleep.empty()) {
    Wakeup& next = asleep.front();
    asleep.pop_front();
    list.push_back(next);
    try {
      next.wake();
    } catch (const std::exception& error) {
      contain(error);
    }
  }
}

void Wakeup::suspend(std::coroutine_handle<> waiting, Deadline deadline) {
  ROUTER_ASSERT(!waiting_ && shard_.is_here());
  // A timer that fires too early costs one look at the clock; moving it at every wait would cost more. So it is moved only to
  // an earlier time. This comes first: if it throws, the coroutine continues with the exception, and nothing may resume it.
  if (deadline != kNever && (!queued() || deadline < when())) shard_.schedule(*this, deadline);
  waiting_ = waiting;
  deadline_ = deadline;
}

void Wakeup::resume() {
  ROUTER_ASSERT(shard_.is_here());
  const InsideCoroutine inside;
  std::exchange(waiting_, {}).resume();
}

void Wakeup::expired() {
  if (!waiting_ || deadline_ == kNever) return;
  if (deadline_ > shard_.now()) {
    shard_.schedule(*this, deadline_);
  } else {
    resume();
  }
}

}  // namespace router::runtime

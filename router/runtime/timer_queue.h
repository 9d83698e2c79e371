#pragma once

#include <cstddef>
#include <vector>

#include "router/base/time.h"
#include "router/runtime/shard_local.h"

namespace router::runtime {

class TimerQueue;

/// A point in time at which `expired` is called. A part of its owner; leaves the queue when destroyed.
class Timer {
 public:
  Timer() = default;
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  virtual ~Timer();

  bool queued() const { return queue_ != nullptr; }
  TimePoint when() const { return when_; }

 protected:
  virtual void expired() = 0;  // called once, when it is no longer queued; may schedule itself again

 private:
  friend class TimerQueue;
  TimerQueue* queue_ = nullptr;
  std::size_t index_ = 0;
  TimePoint when_{};
};

/// The timeouts of one shard, the soonest first: a heap over timers that are parts of their owners, so a timer is not
/// allocated. Why a heap and not a wheel: docs/decisions/0003. One thread.
class TimerQueue {
 public:
  TimerQueue() = default;
  explicit TimerQueue(const ShardLocal& of) : of_(&of) {}
  TimerQueue(const TimerQueue&) = delete;
  TimerQueue& operator=(const TimerQueue&) = delete;
  ~TimerQueue();

  /// Queues `timer` for `when`, or moves it there. If there is no memory for one more timer, throws std::bad_alloc; then
  /// nothing has changed. Moving a queued timer never throws. So a timer that must not fail is queued for kNever first.
  void schedule(Timer& timer, TimePoint when);
  void cancel(Timer& timer);
  /// Calls `expired` of every timer that is due at `now`.
  void advance(TimePoint now);
  /// When the soonest timer is due; kNever if there is none.
  TimePoint next() const { return heap_.empty() ? kNever : heap_.front()->when_; }

 private:
  void place(std::size_t index, Timer* timer);
  void sift_up(std::size_t index, Timer* timer);
  void sift_down(std::size_t index, Timer* timer);

  void assert_here() const { ROUTER_ASSERT(of_ == nullptr || of_->is_here()); }

  const ShardLocal* of_ = nullptr;
  std::vector<Timer*> heap_;
};

}  // namespace router::runtime

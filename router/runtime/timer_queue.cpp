#include "router/runtime/timer_queue.h"

namespace router::runtime {

Timer::~Timer() {
  if (queue_ != nullptr) queue_->cancel(*this);
}

TimerQueue::~TimerQueue() {
  for (Timer* timer : heap_) timer->queue_ = nullptr;
}

void TimerQueue::schedule(Timer& timer, TimePoint when) {
  assert_here();
  if (timer.queue_ == nullptr) {
    heap_.push_back(&timer);
    timer.queue_ = this;
    timer.when_ = when;
    sift_up(heap_.size() - 1, &timer);
    return;
  }
  const bool sooner = when < timer.when_;
  timer.when_ = when;
  sooner ? sift_up(timer.index_, &timer) : sift_down(timer.index_, &timer);
}

void TimerQueue::cancel(Timer& timer) {
  if (timer.queue_ == nullptr) return;
  assert_here();
  timer.queue_ = nullptr;
  Timer* last = heap_.back();
  heap_.pop_back();
  if (last == &timer) return;
  const std::size_t hole = timer.index_;
  sift_down(hole, last);
  sift_up(last->index_, last);
}

void TimerQueue::advance(TimePoint now) {
  while (!heap_.empty() && heap_.front()->when_ <= now) {
    Timer* due = heap_.front();
    cancel(*due);
    due->expired();
  }
}

void TimerQueue::place(std::size_t index, Timer* timer) {
  heap_[index] = timer;
  timer->index_ = index;
}

void TimerQueue::sift_up(std::size_t index, Timer* timer) {
  while (index > 0) {
    const std::size_t parent = (index - 1) / 2;
    if (heap_[parent]->when_ <= timer->when_) break;
    place(index, heap_[parent]);
    index = parent;
  }
  place(index, timer);
}

void TimerQueue::sift_down(std::size_t index, Timer* timer) {
  for (;;) {
    std::size_t child = 2 * index + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && heap_[child + 1]->when_ < heap_[child]->when_) ++child;
    if (timer->when_ <= heap_[child]->when_) break;
    place(index, heap_[child]);
    index = child;
  }
  place(index, timer);
}

}  // namespace router::runtime

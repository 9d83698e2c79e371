#include "router/discovery/probe_limit.h"

#include <algorithm>

namespace router::discovery {

Task<ProbeLimit::Permit> ProbeLimit::acquire(std::shared_ptr<runtime::CancelSource> cancellation) {
  if (running_ < at_once_) {
    ++running_;
    co_return Permit(*this);
  }
  Waiting mine(std::move(cancellation));
  waiting_.push_back(&mine);
  while (!mine.granted && !mine.cancellation->cancelled()) co_await mine.cancellation->wakeup().wait(kNever);
  if (mine.granted) co_return Permit(*this);  // also if cancelled: its destructor passes the permit on
  waiting_.erase(std::find(waiting_.begin(), waiting_.end(), &mine));
  co_return Permit();
}

void ProbeLimit::pass_on() noexcept {
  if (waiting_.empty()) {
    --running_;
    return;
  }
  Waiting* next = waiting_.front();
  waiting_.pop_front();
  next->granted = true;
  // Resumes the probe from the loop, since this function runs inside another probe's coroutine.
  next->cancellation->shard().send(*next);
}

}  // namespace router::discovery

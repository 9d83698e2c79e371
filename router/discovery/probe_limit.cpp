#include "router/discovery/probe_limit.h"

#include <algorithm>

namespace router::discovery {

Task<ProbeLimit::Turn> ProbeLimit::wait_for_turn(std::shared_ptr<runtime::Wakeup> wakeup, const bool& stopped) {
  if (running_ < at_once_) {
    ++running_;
    co_return Turn(*this);
  }
  Waiting mine(std::move(wakeup));
  waiting_.push_back(&mine);
  while (!mine.granted && !stopped) co_await mine.wakeup->wait(kNever);
  if (mine.granted) co_return Turn(*this);  // also if stopped: whoever drops it passes it on
  waiting_.erase(std::find(waiting_.begin(), waiting_.end(), &mine));
  co_return Turn();
}

void ProbeLimit::pass_on() noexcept {
  if (waiting_.empty()) {
    --running_;
    return;
  }
  Waiting* next = waiting_.front();
  waiting_.pop_front();
  next->granted = true;
  // From the loop: this runs inside another probe's coroutine.
  next->wakeup->shard().send(*next);
}

}  // namespace router::discovery

#pragma once

#include <utility>

#include "router/runtime/inbox.h"
#include "router/runtime/wakeup.h"

namespace router::fleet_link {

/// Where the coroutine of a connection waits, and whether it was told to end. Unlike a CancelSource it ends with its coroutine,
/// and takes a wake that is on its way with it: links may be destroyed in any state. One shard.
class Life final : private runtime::Message {
 public:
  explicit Life(runtime::Shard& shard) : wakeup_(shard) {}

  runtime::Wakeup& wakeup() { return wakeup_; }
  runtime::Shard& shard() { return wakeup_.shard(); }
  bool cancelled() const { return cancelled_; }
  /// Wakes the coroutine from the event loop, so this may be called inside a coroutine. Needs no memory.
  void wake() noexcept {
    if (!std::exchange(is_on_its_way_, true)) shard().send(*this);
  }
  void cancel() noexcept {
    if (!std::exchange(cancelled_, true)) wake();
  }

 private:
  void run() override {
    is_on_its_way_ = false;
    wakeup_.wake();
  }
  void dropped() noexcept override {}

  runtime::Wakeup wakeup_;
  bool cancelled_ = false;
  bool is_on_its_way_ = false;
};

}  // namespace router::fleet_link

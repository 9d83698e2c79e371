#pragma once

#include <memory>

#include "router/base/task.h"
#include "router/runtime/wakeup.h"

namespace router::kubernetes {

/// Who asks the API server: the place where one coroutine of the control thread sleeps, and whether it has been told to end.
/// After `stop` whatever it waits for here ends at once. Held by its coroutine and by whoever may stop it.
class Asker : public std::enable_shared_from_this<Asker> {
 public:
  static std::shared_ptr<Asker> make(runtime::Shard& control) { return std::shared_ptr<Asker>(new Asker(control)); }

  runtime::Wakeup& wakeup() { return wakeup_; }
  runtime::Shard& shard() { return wakeup_.shard(); }
  TimePoint now() { return shard().now(); }
  bool stopped() const { return stopped_; }

  /// Control thread, also inside a coroutine.
  void stop() {
    if (stopped_) return;
    stopped_ = true;
    shard().post([self = shared_from_this()] { self->wakeup_.wake(); });
  }
  /// Until then, or until it is stopped.
  Task<void> sleep_until(TimePoint until) {
    while (!stopped_ && now() < until) co_await wakeup_.wait(until);
  }

 private:
  explicit Asker(runtime::Shard& control) : wakeup_(control) {}
  runtime::Wakeup wakeup_;
  bool stopped_ = false;
};

}  // namespace router::kubernetes

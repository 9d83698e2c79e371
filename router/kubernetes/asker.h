#pragma once

#include <exception>
#include <memory>

#include "router/base/log.h"
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
  void stop() noexcept {
    if (stopped_) return;
    stopped_ = true;
    end_.stopped = shared_from_this();
    shard().send(end_);
  }

 private:
  /// Wakes from the loop who was stopped, and keeps it alive until then.
  struct End final : runtime::Message {
    void run() override {
      const std::shared_ptr<Asker> ends_here = std::move(stopped);
      ends_here->wakeup_.wake();
    }
    void dropped() noexcept override { const std::shared_ptr<Asker> ends_here = std::move(stopped); }
    std::shared_ptr<Asker> stopped;
  };

  explicit Asker(runtime::Shard& control) : wakeup_(control) {}
  runtime::Wakeup wakeup_;
  bool stopped_ = false;
  End end_;
};

/// Takes one `step()` after the other, each at the moment that the one before has named (a Deadline), until `asker` is stopped.
/// An exception, memory that is short first of all, ends one step and no more: it is logged after `what`, and `interrupted()`
/// names the moment of the next one. Between two steps no memory is needed.
template <class Step, class Interrupted>
Task<void> repeat(Asker& asker, const char* what, Step step, Interrupted interrupted) {
  while (!asker.stopped()) {
    Deadline next{};
    try {
      next = co_await step();
    } catch (const std::exception& error) {
      log::error(what);
      log::error(error.what());
      next = interrupted();
    }
    while (!asker.stopped() && asker.now() < next) co_await asker.wakeup().wait(next);
  }
}

}  // namespace router::kubernetes

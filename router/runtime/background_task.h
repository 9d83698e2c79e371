#pragma once

#include <chrono>
#include <exception>
#include <memory>

#include "router/base/log.h"
#include "router/base/task.h"
#include "router/runtime/cancellation.h"
#include "router/runtime/task_group.h"

namespace router::runtime {

/// How a background task starts again if it could not start, or ended, because memory was short or its group was full.
struct BeginAgain {
  const char* log;                           // the message for the log
  Duration after = std::chrono::seconds(1);  // delay until it starts again
};

/// One coroutine that runs in the background until it is cancelled. The object lives until the coroutine has ended, perhaps
/// longer than the code that cancelled it. Cancelling needs no memory. If std::bad_alloc ends the coroutine, this is logged and
/// the coroutine starts again later, with the state of the object.
class BackgroundTask : public CancelSource, private Timer {
 public:
  /// Starts the coroutine from the event loop, because the caller may not be ready for its calls yet. `group` owns the task and
  /// outlives it.
  void begin(TaskGroup& group) noexcept;

 protected:
  BackgroundTask(Shard& shard, BeginAgain again) : CancelSource(shard), again_(again) {}

  virtual Task<void> run() = 0;

  /// Runs `step()` again and again until this is cancelled. Each step returns the time of the next one (a Deadline). An
  /// exception, usually std::bad_alloc, ends only that step: it is logged after `what`, and `interrupted()` returns the time of
  /// the next step. No memory is needed between two steps.
  template <class Step, class Interrupted>
  Task<void> repeat(const char* what, Step step, Interrupted interrupted) {
    while (!cancelled()) {
      Deadline next{};
      try {
        next = co_await step();
      } catch (const std::exception& error) {
        log::error(what);
        log::error(error.what());
        next = interrupted();
      }
      while (!cancelled() && now() < next) co_await wakeup().wait(next);
    }
  }

 private:
  class Begin final : public Message {
   public:
    explicit Begin(BackgroundTask& owner) : owner_(owner) {}
    void send() noexcept;

   private:
    void run() override;
    void dropped() noexcept override { const std::shared_ptr<CancelSource> ends_here = std::move(kept_); }
    BackgroundTask& owner_;
    std::shared_ptr<CancelSource> kept_;  // while this message is in an inbox
  };
  static Task<void> live(std::shared_ptr<CancelSource> self, BackgroundTask& task);
  void expired() override { spawn(); }
  void spawn();
  void spawn_later() noexcept;

  const BeginAgain again_;
  TaskGroup* group_ = nullptr;
  Begin begin_{*this};
};

}  // namespace router::runtime

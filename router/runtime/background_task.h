#pragma once

#include <chrono>
#include <exception>
#include <memory>

#include "router/base/log.h"
#include "router/base/task.h"
#include "router/runtime/cancellation.h"
#include "router/runtime/task_group.h"

namespace router::runtime {

/// What becomes of a background task that cannot begin, or ends, because memory is short or its group is full.
struct BeginAgain {
  const char* log;                           // what the log says of it
  Duration after = std::chrono::seconds(1);  // then it begins again
};

/// One coroutine that goes on in the background until it is cancelled. Lives until that coroutine has ended, which may be after
/// whoever cancelled it. Cancelling needs no memory. std::bad_alloc that ends the coroutine is told in the log, and it begins
/// again later, with what it knew.
class BackgroundTask : public CancelSource, private Timer {
 public:
  /// From the loop: whoever begins it may not be ready to be called yet. `group` owns the task and outlives it.
  void begin(TaskGroup& group) noexcept;

 protected:
  BackgroundTask(Shard& shard, BeginAgain again) : CancelSource(shard), again_(again) {}

  virtual Task<void> run() = 0;

  /// Runs one `step()` after the other, each at the moment that the one before has named (a Deadline), until this is cancelled.
  /// An exception, memory that is short first of all, ends one step and no more: it is logged after `what`, and `interrupted()`
  /// names the moment of the next one. Between two steps no memory is needed.
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
    std::shared_ptr<CancelSource> kept_;  // while it is on its way
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

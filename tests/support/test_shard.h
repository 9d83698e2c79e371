#pragma once

#include <optional>
#include <utility>

#include "router/base/task.h"
#include "router/base/time.h"
#include "router/runtime/shard.h"
#include "router/runtime/task_group.h"

namespace router::test {

/// Runs what is ready. Never blocks.
void poll(runtime::Shard& shard);

/// A shard whose loop the test runs: a real event loop with a virtual clock.
class TestShard {
 public:
  explicit TestShard(std::size_t index = 0) : shard_(index, clock_, runtime::Shard::Time::kManual) {}
  ~TestShard() { poll(); }

  runtime::Shard& shard() { return shard_; }
  operator runtime::Shard&() { return shard_; }
  ManualClock& clock() { return clock_; }
  TimePoint now() const { return clock_.now(); }

  /// Runs what is ready. Never blocks.
  void poll();
  /// Moves the clock on, and runs the timers that are due.
  void advance(Duration by);

  /// A task that has been started: wait for `done()`, then call `get()`.
  template <class T>
  class Started {
   public:
    bool done() const { return value_->has_value(); }
    T get() { return std::move(**value_); }
    const T& peek() const { return **value_; }

   private:
    friend class TestShard;
    std::shared_ptr<std::optional<T>> value_ = std::make_shared<std::optional<T>>();
  };

  template <class T>
  Started<T> start(Task<T> task) {
    Started<T> started;
    group_.try_spawn(hold(std::move(task), started.value_));
    poll();
    return started;
  }
  /// Runs a task that ends without time passing.
  template <class T>
  T run(Task<T> task) {
    Started<T> started = start(std::move(task));
    if (!started.done()) throw std::logic_error("the task waits for something that the test must provide");
    return started.get();
  }

 private:
  template <class T>
  static Task<void> hold(Task<T> task, std::shared_ptr<std::optional<T>> into) {
    into->emplace(co_await std::move(task));
  }

  ManualClock clock_;
  runtime::Shard shard_;
  runtime::TaskGroup group_{shard_, 100000};
};

}  // namespace router::test

#pragma once

#include <memory>

#include "router/base/task.h"
#include "router/runtime/shard.h"
#include "router/runtime/task_group.h"
#include "router/runtime/wakeup.h"

namespace router::discovery {

/// One coroutine of the control thread that asks a replica, again and again, until it is stopped. Lives until that coroutine
/// has ended, which may be after whoever stopped it. Stopping needs no memory; an exception that ends the coroutine (memory is
/// short) is told in the log, and it begins again a second later, with what it knew.
class Asking : public std::enable_shared_from_this<Asking> {
 public:
  Asking(const Asking&) = delete;
  Asking& operator=(const Asking&) = delete;
  virtual ~Asking() = default;

  /// From the loop: whoever begins it may not be ready to be told yet. `group` owns the task and outlives it.
  void begin(runtime::TaskGroup& group) noexcept;
  /// Wakes the coroutine, from the loop, so that it sees that it is stopped.
  void stop() noexcept;

 protected:
  explicit Asking(runtime::Shard& control) : wakeup_(control) {}

  virtual Task<void> run() = 0;

  runtime::Shard& control() { return wakeup_.shard(); }
  const bool& stopped() const { return stopped_; }
  runtime::Wakeup& wakeup() { return wakeup_; }
  std::shared_ptr<runtime::Wakeup> shared_wakeup() { return {shared_from_this(), &wakeup_}; }

 private:
  /// Keeps its owner alive while it is on its way.
  class Call final : public runtime::Message {
   public:
    Call(Asking& owner, void (Asking::*what)()) : owner_(owner), what_(what) {}
    void send();

   private:
    void run() override;
    void dropped() noexcept override { const std::shared_ptr<Asking> ends_here = std::move(kept_); }
    Asking& owner_;
    void (Asking::*const what_)();
    std::shared_ptr<Asking> kept_;
  };
  class Again final : public runtime::Timer {
   public:
    explicit Again(Asking& owner) : owner_(owner) {}

   private:
    void expired() override { owner_.spawn(); }
    Asking& owner_;
  };

  static Task<void> live(std::shared_ptr<Asking> self);
  void spawn();
  void wake() { wakeup_.wake(); }
  void spawn_later() noexcept;

  runtime::Wakeup wakeup_;
  bool stopped_ = false;
  runtime::TaskGroup* group_ = nullptr;
  Call begin_{*this, &Asking::spawn};
  Call end_{*this, &Asking::wake};
  Again again_{*this};
};

}  // namespace router::discovery

#pragma once

#include <boost/intrusive/list.hpp>
#include <coroutine>

#include "router/base/time.h"
#include "router/runtime/shard.h"
#include "router/runtime/waker.h"

namespace router::runtime {

/// The only point at which a coroutine suspends. It waits here until something that it has armed wakes it (a socket is readable
/// or writable, a queue has granted a slot) or its deadline passes, and then checks what has changed. A wake that comes while
/// the coroutine does not wait is kept: the next wait ends at once, so none is lost. One shard, one coroutine.
class Wakeup final : public Waker,
                     private Timer,
                     public boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
 public:
  explicit Wakeup(Shard& shard) : shard_(shard) {}

  /// Resumes the waiting coroutine now. Called only from the shard's event loop (handlers of sockets, timers, messages), not
  /// inside a coroutine.
  void wake() override;
  /// Makes the next wait end at once. For use inside the coroutine that waits here.
  void keep_awake() { woken_ = true; }

  /// Suspends until woken (true) or until `deadline` has passed (false).
  auto wait(Deadline deadline) {
    struct Awaiter {
      Wakeup& wakeup;
      Deadline deadline;
      bool await_ready() const noexcept { return wakeup.woken_; }
      void await_suspend(std::coroutine_handle<> waiting) const { wakeup.suspend(waiting, deadline); }
      bool await_resume() const noexcept { return std::exchange(wakeup.woken_, false); }
    };
    return Awaiter{*this, deadline};
  }

  Shard& shard() { return shard_; }

  /// Wakeups that are woken together: an intrusive list. A wakeup that is destroyed leaves it.
  using List = boost::intrusive::list<Wakeup, boost::intrusive::constant_time_size<false>>;
  /// Wakes each wakeup that is in the list now; they stay in the list. A woken coroutine may destroy other wakeups, or add more
  /// to the list. An exception that it throws is logged.
  static void wake_all(List& list) noexcept;

 private:
  void suspend(std::coroutine_handle<> waiting, Deadline deadline);
  void resume();
  void expired() override;

  Shard& shard_;
  std::coroutine_handle<> waiting_;
  Deadline deadline_ = kNever;
  bool woken_ = false;
};

}  // namespace router::runtime

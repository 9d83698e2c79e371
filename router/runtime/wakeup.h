#pragma once

#include <boost/intrusive/list.hpp>
#include <coroutine>

#include "router/base/time.h"
#include "router/runtime/shard.h"
#include "router/runtime/waker.h"

namespace router::runtime {

/// The one place where a coroutine sleeps: it waits here for any of the things that it has asked to wake it (a socket that can
/// be read or written, a grant from a queue) or for its deadline, and then looks for itself what has changed. A wake-up that
/// comes while nobody waits is kept: the next wait ends at once, so none is lost. One shard, one coroutine.
class Wakeup final : public Waker,
                     private Timer,
                     public boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
 public:
  explicit Wakeup(Shard& shard) : shard_(shard) {}

  /// Resumes the waiting coroutine now. From the shard's loop only (handlers of sockets, timers, posts), not inside a
  /// coroutine.
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

  /// Wakeups that are to be woken together: a list through the wakeups themselves. One that ends leaves it.
  using List = boost::intrusive::list<Wakeup, boost::intrusive::constant_time_size<false>>;
  /// Wakes each that is in the list at this moment, and leaves them there. One of them may end others, or put more into the
  /// list. An exception that one throws is told in the log.
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

#pragma once

#include <memory>
#include <utility>

#include "router/runtime/wakeup.h"

namespace router::runtime {

/// The wakeup at which one coroutine waits, and whether that coroutine was cancelled. Cancelling wakes the coroutine. The
/// coroutine calls `cancelled` after each wake, and ends if it was cancelled. One shard.
class Cancellation {
 public:
  Wakeup& wakeup() const { return wakeup_; }
  Shard& shard() const { return wakeup_.shard(); }
  TimePoint now() const { return shard().now(); }
  virtual bool cancelled() const = 0;
  /// When the coroutine must call `cancelled` again although nothing woke it. kNever, unless the source of the cancellation
  /// cannot always wake it.
  virtual Deadline ask_again() const { return kNever; }

 protected:
  explicit Cancellation(Wakeup& wakeup) : wakeup_(wakeup) {}
  Cancellation(const Cancellation&) = delete;
  Cancellation& operator=(const Cancellation&) = delete;
  ~Cancellation() = default;

 private:
  Wakeup& wakeup_;
};

/// A cancellation by a call of `cancel`. Shared by the coroutine and the code that may cancel it.
class CancelSource : public Cancellation, public std::enable_shared_from_this<CancelSource> {
 public:
  static std::shared_ptr<CancelSource> make(Shard& shard) { return std::shared_ptr<CancelSource>(new CancelSource(shard)); }
  virtual ~CancelSource() = default;

  bool cancelled() const final { return cancelled_; }
  /// Wakes the coroutine from the event loop, so this may be called inside a coroutine. Needs no memory. On the shard.
  void cancel() noexcept;
  std::shared_ptr<Wakeup> shared_wakeup() { return {shared_from_this(), &wakeup_}; }

 protected:
  explicit CancelSource(Shard& shard) : Cancellation(wakeup_), wakeup_(shard) {}

 private:
  /// Keeps its owner alive while it is in an inbox.
  struct Waking final : Message {
    void run() override {
      const std::shared_ptr<CancelSource> ends_here = std::move(cancelled);
      ends_here->wakeup_.wake();
    }
    void dropped() noexcept override { const std::shared_ptr<CancelSource> ends_here = std::move(cancelled); }
    std::shared_ptr<CancelSource> cancelled;
  };

  Wakeup wakeup_;
  bool cancelled_ = false;
  Waking waking_;
};

}  // namespace router::runtime

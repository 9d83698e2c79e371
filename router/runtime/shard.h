#pragma once

#include <absl/functional/any_invocable.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "router/base/time.h"
#include "router/runtime/buffer.h"
#include "router/runtime/inbox.h"
#include "router/runtime/poller.h"
#include "router/runtime/shard_local.h"
#include "router/runtime/timer_queue.h"

namespace boost::asio {
class io_context;
}

namespace router::runtime {

/// One data thread and everything that belongs to it: an event loop, timers, buffers. The code of a shard is plain
/// single-threaded code. Other threads may use only `send`, `post`, `stop` and `index`. The control thread runs a Shard, too.
class Shard {
 public:
  enum class Time { kReal, kManual };  // kManual: only `advance_timers` fires timers (tests)

  Shard(std::size_t index, const Clock& clock, Time time = Time::kReal);
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;
  ~Shard();

  std::size_t index() const { return index_; }
  const Clock& clock() const { return clock_; }
  /// The time, read once for each step of a turn (a coroutine runs from its wake to its next wait): steps take microseconds.
  /// Outside of a turn the clock is read each time.
  TimePoint now() const { return poller_.step() == step_of_time_ ? time_ : read_clock(); }
  /// Reads the clock again, also for the rest of the step. For measurements.
  TimePoint read_clock() const {
    step_of_time_ = poller_.step() == 0 ? kNoStep : poller_.step();
    return time_ = clock_.now();
  }

  /// Runs the event loop on the calling thread until `stop`. An exception of a handler, a timer or posted work is logged, and
  /// the loop continues.
  void run();
  /// Any thread. Messages that were sent before still run.
  void stop();
  /// Any thread. Runs `message` on this shard, from the event loop, never inside the call; all messages in the order of
  /// sending. Drops it if the shard ends first. Needs no memory, and a system call only if the inbox was empty and the calling
  /// thread is not in a turn of this shard.
  void send(Message& message) noexcept { inbox_.send(message, on_this_thread()); }
  void send(std::unique_ptr<Message> message) noexcept { send(*message.release()); }
  /// Makes a message of `work` and sends it. Throws std::bad_alloc.
  void post(absl::AnyInvocable<void()> work) { send(message_of(std::move(work))); }
  /// Drops all messages that have not run, and every message that is sent later. When no thread runs the shard any more; the
  /// destructor does it, too. If shards send to each other: close all of them before the first is destroyed.
  void close() noexcept { inbox_.close(); }
  bool on_this_thread() const;
  /// For assertions in builds with checks: whether this thread runs the shard, or no thread does.
  bool is_here() const { return thread_.is_here(); }

  boost::asio::io_context& io() { return *io_; }
  Poller& poller() { return poller_; }
  BufferPool& buffers() { return buffers_; }
  /// 256 KB for bytes that are read and passed on within one turn of the event loop; a coroutine that waits loses them.
  std::span<char> scratch() { return {scratch_.get(), kScratchBytes}; }
  static constexpr std::size_t kScratchBytes = 256 * 1024;
  /// A pseudo-random number; for spreading load, not for secrets.
  std::uint64_t random();

  /// If it throws std::bad_alloc, for want of memory for one more timer, nothing has changed (timer_queue.h).
  void schedule(Timer& timer, TimePoint when);
  void advance_timers() { timers_.advance(now()); }

 private:
  struct Driver;  // the one Asio timer that drives `timers_`
  void drive() noexcept;
  void arm_driver();
  bool run_until_something_is_thrown();
  void advance_or_contain();

  class Stop final : public Message {
   public:
    explicit Stop(Shard& shard) : shard_(shard) {}

   private:
    void run() override;
    void dropped() noexcept override {}
    Shard& shard_;
  };

  const std::size_t index_;
  const Clock& clock_;
  ShardLocal thread_;
  std::unique_ptr<boost::asio::io_context> io_;
  BufferPool buffers_;
  Poller poller_;
  Inbox inbox_;
  std::atomic<bool> stopping_{false};
  Stop stop_{*this};
  static constexpr std::uint64_t kNoStep = ~std::uint64_t{};
  mutable std::uint64_t step_of_time_ = kNoStep;  // step in which `time_` was read
  mutable TimePoint time_{};
  std::unique_ptr<char[]> scratch_;
  std::uint64_t random_state_;
  TimerQueue timers_;
  std::unique_ptr<Driver> driver_;
};

}  // namespace router::runtime

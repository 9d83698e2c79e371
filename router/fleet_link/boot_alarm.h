#pragma once

#include <absl/functional/any_invocable.h>

#include <chrono>

#include "router/runtime/descriptor.h"
#include "router/runtime/shard.h"
#include "router/runtime/waker.h"

namespace router::fleet_link {

/// CLOCK_BOOTTIME: time since this machine started, also while it was suspended. A router that was away notices by it that its
/// coverage is over, which the clock of the other timers, CLOCK_MONOTONIC, would not show. Not comparable between machines.
struct BootClock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<BootClock>;
  static constexpr bool is_steady = true;  // NOLINT(readability-identifier-naming): the standard's name
  static time_point now() noexcept;
};
using BootTime = BootClock::time_point;

/// Calls a function on its shard's event loop at one point in time (a timerfd). One shard.
class BootAlarm final : private runtime::Waker {
 public:
  using Ring = absl::AnyInvocable<void(BootTime now)>;
  /// Throws std::bad_alloc when descriptors or memory run short.
  BootAlarm(runtime::Shard& shard, Ring ring);
  BootAlarm(const BootAlarm&) = delete;
  BootAlarm& operator=(const BootAlarm&) = delete;
  virtual ~BootAlarm();

  /// Rings once at `when`, or at once if that is over. Replaces the time of the last call; BootTime::max(): never. The ring may
  /// set the next time. A ring that throws is repeated 10 ms later.
  void set(BootTime when) noexcept;

 private:
  void wake() override;

  runtime::Shard& shard_;
  runtime::Descriptor timer_;
  runtime::Watch* watch_ = nullptr;
  Ring ring_;
  BootTime when_ = BootTime::max();
};

}  // namespace router::fleet_link

#pragma once

#include <chrono>
#include <cstdint>

namespace router::fleet {

/// CLOCK_BOOTTIME of this machine: it goes on while the machine sleeps and never jumps. The state machines read no clock; who
/// calls them reads it. Times of two machines are never compared.
struct BootClock {
  using rep = std::int64_t;
  using period = std::nano;
  using duration = std::chrono::nanoseconds;
  using time_point = std::chrono::time_point<BootClock>;
  static constexpr bool is_steady = true;  // NOLINT(readability-identifier-naming): the standard's name
};

using BootTime = BootClock::time_point;
using BootDuration = BootClock::duration;

/// Before everything that can have happened, and after everything that can happen; sums with durations do not overflow.
inline constexpr BootTime kLongAgo{-std::chrono::hours(24 * 365 * 100)};
inline constexpr BootTime kAlways{std::chrono::hours(24 * 365 * 100)};

}  // namespace router::fleet

#pragma once

#include <chrono>

namespace router {

using TimePoint = std::chrono::steady_clock::time_point;
using Duration = std::chrono::steady_clock::duration;

/// The time by which an operation must end. `kNever` never passes.
using Deadline = TimePoint;
inline constexpr Deadline kNever = TimePoint::max();

/// `from` + `timeout`, without overflow: a timeout beyond the clock's range means never.
constexpr Deadline deadline_after(TimePoint from, Duration timeout) {
  return timeout >= kNever - from ? kNever : from + timeout;
}

/// The source of time, which tests replace.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint now() const = 0;
};

class SteadyClock final : public Clock {
 public:
  TimePoint now() const override { return std::chrono::steady_clock::now(); }
};

/// A clock that changes only when a test advances it.
class ManualClock final : public Clock {
 public:
  TimePoint now() const override { return now_; }
  void advance(Duration by) { now_ += by; }

 private:
  TimePoint now_{std::chrono::hours(1)};
};

}  // namespace router

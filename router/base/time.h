#pragma once

#include <chrono>

namespace router {

using TimePoint = std::chrono::steady_clock::time_point;
using Duration = std::chrono::steady_clock::duration;

/// An absolute time until which something may take. `kNever` never passes.
using Deadline = TimePoint;
inline constexpr Deadline kNever = TimePoint::max();

/// `from` + `timeout`, without overflow: a timeout as long as the clock's range means never.
constexpr Deadline deadline_after(TimePoint from, Duration timeout) {
  return timeout >= kNever - from ? kNever : from + timeout;
}

/// The seam at which tests replace time.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint now() const = 0;
};

class SteadyClock final : public Clock {
 public:
  TimePoint now() const override { return std::chrono::steady_clock::now(); }
};

/// Time that stands still until a test moves it.
class ManualClock final : public Clock {
 public:
  TimePoint now() const override { return now_; }
  void advance(Duration by) { now_ += by; }

 private:
  TimePoint now_{std::chrono::hours(1)};
};

}  // namespace router

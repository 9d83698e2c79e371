#include "router/dispatch/pace.h"

#include <algorithm>
#include <cmath>

namespace router::dispatch {
namespace {

Duration nanoseconds(double count) { return std::chrono::nanoseconds(std::llround(std::min(count, 1e18))); }

}  // namespace

void Pace::held_for(Duration held, TimePoint now) {
  if (known_ >= kKnownAfter && !held_on_average(now)) known_ = 0;  // forgotten
  known_ = std::min(known_ + 1, kMemory);
  average_ += (std::chrono::duration<double, std::nano>(held).count() - average_) / static_cast<double>(known_);
  last_ = now;
}

std::optional<Duration> Pace::held_on_average(TimePoint now) const {
  if (known_ < kKnownAfter) return std::nullopt;
  const Duration average = nanoseconds(average_);
  if (now - last_ > std::max<Duration>(kForgotten, 4 * average)) return std::nullopt;
  return average;
}

std::optional<Duration> Pace::expected_wait(std::size_t positions, std::size_t slots, TimePoint now) const {
  const std::optional<Duration> held = held_on_average(now);
  if (!held || slots == 0) return std::nullopt;
  return nanoseconds(static_cast<double>(held->count()) * static_cast<double>(positions) / static_cast<double>(slots));
}

std::optional<Duration> Pace::shortest_wait(std::size_t positions, std::size_t slots, TimePoint now) const {
  const std::optional<Duration> expected = expected_wait(positions, slots, now);
  if (!expected) return std::nullopt;
  const double share = 1 - 2 / std::sqrt(static_cast<double>(std::max<std::size_t>(positions, 1)));
  return nanoseconds(static_cast<double>(expected->count()) * std::max(share, 0.0));
}

}  // namespace router::dispatch

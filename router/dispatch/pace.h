#pragma once

#include <cstddef>
#include <optional>

#include "router/base/time.h"

namespace router::dispatch {

/// How long a slot is held, on average: from it and the number of slots follows how fast a queue moves. Known after kKnownAfter
/// exchanges; the latest kMemory of them count most. Forgotten when nothing has ended for a minute (or for four times the
/// average): a model that was replaced, or has slept, is not judged by its past. Belongs to the queue's mutex.
class Pace {
 public:
  static constexpr std::size_t kKnownAfter = 16;
  static constexpr std::size_t kMemory = 64;
  static constexpr std::chrono::minutes kForgotten{1};

  void held_for(Duration held, TimePoint now);
  std::optional<Duration> held_on_average(TimePoint now) const;

  /// When the last of `positions` in the queue is likely to be served, with `slots` slots. Nothing while that is not known.
  std::optional<Duration> expected_wait(std::size_t positions, std::size_t slots, TimePoint now) const;
  /// The same if all goes well: two standard deviations sooner, if holding times scatter as an exponential distribution's. Who
  /// cannot wait even that long would wait in vain.
  std::optional<Duration> shortest_wait(std::size_t positions, std::size_t slots, TimePoint now) const;

 private:
  std::size_t known_ = 0;
  double average_ = 0;  // nanoseconds
  TimePoint last_{};
};

}  // namespace router::dispatch

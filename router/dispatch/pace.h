#pragma once

#include <cstddef>
#include <optional>

#include "router/base/time.h"

namespace router::dispatch {

/// How long a slot is held on average. This and the number of slots give the speed of a queue. Known after kKnownAfter
/// exchanges; the latest kMemory of them count most. Forgotten after kForgotten or four averages without an exchange, whichever
/// is longer, since the model may have changed. Protected by the queue's mutex.
class Pace {
 public:
  static constexpr std::size_t kKnownAfter = 16;
  static constexpr std::size_t kMemory = 64;
  static constexpr std::chrono::minutes kForgotten{1};

  void held_for(Duration held, TimePoint now);
  std::optional<Duration> held_on_average(TimePoint now) const;

  /// How long the last of `positions` in the queue is likely to wait, with `slots` slots. No value while that is not known.
  std::optional<Duration> expected_wait(std::size_t positions, std::size_t slots, TimePoint now) const;
  /// The same, less two standard deviations, if holding times are exponentially distributed. A request that cannot wait that
  /// long is very unlikely to get a slot in time.
  std::optional<Duration> shortest_wait(std::size_t positions, std::size_t slots, TimePoint now) const;

 private:
  std::size_t known_ = 0;
  double average_ = 0;  // nanoseconds
  TimePoint last_{};
};

}  // namespace router::dispatch

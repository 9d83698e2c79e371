#pragma once

#include <time.h>

#include <algorithm>
#include <cstddef>
#include <limits>

namespace router::test {

/// CPU time of this thread, in seconds.
inline double cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

template <class Act, class Input>
double cost_of(Act& act, const Input& input, int times) {
  const double before = cpu_seconds();
  for (int i = 0; i < times; ++i) act(input);
  return (cpu_seconds() - before) / times;
}

/// The factor by which `act` takes longer for an input four times as large: 4 if it reads its input once, 16 if it compares
/// each part with each other part. The minimum of several alternating runs, so that a busy machine changes little. `make(size)`
/// builds the input.
template <class Make, class Act>
double growth(std::size_t size, Make make, Act act) {
  constexpr int kRounds = 7;
  const auto small = make(size);
  const auto large = make(4 * size);
  const double once = std::max(cost_of(act, small, 1), 1e-7);
  const int times = std::clamp(static_cast<int>(0.001 / once), 1, 2000);  // at least 1 ms, for the clock
  double least_small = std::numeric_limits<double>::max();
  double least_large = least_small;
  for (int round = 0; round < kRounds; ++round) {
    least_small = std::min(least_small, cost_of(act, small, times));
    least_large = std::min(least_large, cost_of(act, large, times));
  }
  return least_large / least_small;
}

#ifdef ROUTER_SANITIZED
inline constexpr double kLinear = std::numeric_limits<double>::max();  // the measured time includes the sanitizer's own
#else
inline constexpr double kLinear = 8;  // halfway, on a scale of powers, between 4 and 16
#endif

}  // namespace router::test

#include "router/scaling/settings.h"

#include <algorithm>

namespace router::scaling {
namespace {
constexpr Seconds kAveragingLeast{2};
constexpr Seconds kAveragingMost{15};
constexpr double kStartPerAveraging = 6;
constexpr double kPollsPerPeak = 20;
constexpr double kStartsPerWindow = 10;
constexpr Seconds kWindowLeast{60};
constexpr Seconds kWindowMost{600};
}  // namespace

Seconds averaging(const Settings& settings, Seconds pod_start) {
  // The polling interval may be longer than the most: it wins, because there are no figures for less.
  return std::max({settings.polling_interval, kAveragingLeast, std::min(pod_start / kStartPerAveraging, kAveragingMost)});
}

Seconds peak_window(const Settings& settings) { return kPollsPerPeak * settings.polling_interval; }

Seconds window(const Settings& settings, Seconds pod_start) {
  return std::max(peak_window(settings), std::clamp(kStartsPerWindow * pod_start, kWindowLeast, kWindowMost));
}

Seconds longest_averaging(const Settings& settings) { return averaging(settings, Seconds(std::chrono::hours(24))); }
Seconds longest_window(const Settings& settings) { return window(settings, Seconds(std::chrono::hours(24))); }

}  // namespace router::scaling

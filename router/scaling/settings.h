#pragma once

#include <chrono>

#include "router/base/time.h"

namespace router::scaling {

/// A length of time in figures that are averaged, multiplied and told; points in time are `TimePoint`.
using Seconds = std::chrono::duration<double>;

/// What the resource of a deployment, and router.yaml, say about its scaling. Values are checked where they are read:
/// 0 <= min <= max, 0 < target, 0 < polling_interval.
struct Settings {
  int min_instances = 1;
  int max_instances = 1;
  double target = 0.7;          // target_utilization_percentage / 100; above 1, requests are expected to wait
  Seconds polling_interval{1};  // Azure ML: scale_settings.polling_interval
  double slots = 1;             // max_concurrent_requests_per_instance, or router.scaling.concurrency; 0: no limit
  Seconds idle_time =
      std::chrono::minutes(5);  // router.scaling.idle_time: without a request for so long, min_instances 0 is obeyed

  bool operator==(const Settings&) const = default;
};

/// The lengths of time of the rule. They follow from the settings and from how long a pod takes to start.
/// Averaging: long enough that a burst which is over before a pod could help starts none, short beside the start of a pod.
Seconds averaging(const Settings& settings, Seconds pod_start);
/// How long the highest want counts in full: azureml-fe's 20 polling intervals.
Seconds peak_window(const Settings& settings);
/// How long the highest want by the longer mean counts (kKeptMean). Ski rental: an idle pod costs no more than a multiple of
/// what its start would cost. No replica is given up by a leader that is younger, or after a change by somebody else, before it
/// has passed.
Seconds window(const Settings& settings, Seconds pod_start);
Seconds longest_averaging(const Settings& settings);
Seconds longest_window(const Settings& settings);

/// The mean by which replicas are kept for `window`: what a short burst asked for is not worth so long.
inline constexpr Seconds kKeptMean{120};
inline constexpr Seconds kStepTime{5};  // the time in which the number of replicas may double, or grow by kStepLeast
inline constexpr int kStepLeast = 4;
inline constexpr Seconds kPodStartAtFirst{30};        // until a start was seen
inline constexpr int kSilentTicks = 3;                // a member that sent nothing for so many polling intervals is silent
inline constexpr double kStartsUntilNotStarting = 3;  // pods that are not ready after so many usual starts do not start

}  // namespace router::scaling

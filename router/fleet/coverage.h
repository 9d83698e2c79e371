#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <vector>

#include "router/fleet/time.h"

namespace router::fleet {

/// Until when this member knows that no other acts as home of its namespaces (rule 5): for a while after the newest of the
/// sending of a beat that a majority acknowledged, and the sending of a GET that showed the roster. A new epoch leaves the old
/// value in force until the new one is reached.
class Coverage {
 public:
  explicit Coverage(BootDuration length) : length_(length) {}

  void begin_epoch() { evidence_ = kLongAgo; }
  void proven_at(BootTime sent) {
    evidence_ = std::max(evidence_, sent);
    until_ = std::max(until_, evidence_ + length_);
  }
  void end() { until_ = kLongAgo; }
  BootTime until() const { return until_; }
  BootTime evidence() const { return evidence_; }  // of this epoch

  /// The newest time that `needed` of the times have reached; `times` is reordered.
  static BootTime reached_by(std::size_t needed, std::vector<BootTime>& times) {
    if (needed == 0 || needed > times.size()) return kLongAgo;
    std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(needed - 1), times.end(), std::greater<>());
    return times[needed - 1];
  }

 private:
  BootDuration length_;
  BootTime evidence_ = kLongAgo;
  BootTime until_ = kLongAgo;
};

}  // namespace router::fleet

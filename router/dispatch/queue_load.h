#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "router/base/time.h"

namespace router::dispatch {

/// What a queue has counted since it was made, while counting was on (`RequestQueue::set_counting`). Never falls.
struct QueueIntegrals {
  double busy = 0;            // slot-seconds, of slots that exchanges hold or held: not of probes and mirrored copies
  double waiting = 0;         // request-seconds in the queue, without requests that are held for a first replica
  double held = 0;            // seconds, of slots that were given back: from the grant on, also before counting was on
  std::uint64_t returns = 0;  // slots that were given back

  bool operator==(const QueueIntegrals&) const = default;
};

/// Sums up the load of a queue. Protected by the queue's mutex.
class QueueLoad {
 public:
  bool on() const { return on_; }
  /// Nothing is counted while it is off; what was counted stays.
  void switch_to(bool on, TimePoint now) {
    on_ = on;
    until_ = now;
  }
  /// So many slots were busy, and so many requests waited, since the last call. Call it before either number changes. The
  /// times of two threads may be in another order than their turns: an earlier one adds nothing.
  void advance(TimePoint now, std::size_t busy, std::size_t waiting) {
    if (now <= until_) return;
    const double seconds = std::chrono::duration<double>(now - until_).count();
    sums_.busy += seconds * static_cast<double>(busy);
    sums_.waiting += seconds * static_cast<double>(waiting);
    until_ = now;
  }
  void given_back(Duration held) {
    if (held > Duration{}) sums_.held += std::chrono::duration<double>(held).count();
    ++sums_.returns;
  }
  const QueueIntegrals& sums() const { return sums_; }

 private:
  bool on_ = false;
  TimePoint until_{};
  QueueIntegrals sums_;
};

}  // namespace router::dispatch

#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <utility>

#include "router/base/time.h"

namespace router::proxy {

/// Checks a client's minimum rate, counted over the time in which the router waits for this client only. It keeps a credit of
/// time: five seconds at first (Kestrel's grace). Waiting spends it, and bytes earn it at the minimum rate. It never exceeds
/// `most`, so a large body that was sent fast does not allow a long silence afterwards.
class MinimumRate {
 public:
  static constexpr std::chrono::seconds kGrace{5};

  /// `bytes_per_second` 0: no minimum. `most`: the longest pause that a fast client may make.
  MinimumRate(std::uint64_t bytes_per_second, Duration most)
      : bytes_per_second_(bytes_per_second), most_(std::max<Duration>(most, kGrace)) {}

  /// The router has waited for the client for `time`.
  void waited(Duration time) {
    if (bytes_per_second_ > 0) credit_ = std::max(credit_ - time, Duration::zero());
  }
  /// `total`: all bytes that the client has sent or taken since the beginning.
  void moved(std::uint64_t total) {
    const std::uint64_t bytes = total - std::exchange(total_, total);
    if (bytes_per_second_ == 0 || bytes == 0) return;
    const double seconds = static_cast<double>(bytes) / static_cast<double>(bytes_per_second_);
    const double room = std::chrono::duration<double>(most_ - credit_).count();
    credit_ = seconds >= room ? most_ : credit_ + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
  }
  /// How much longer the router waits for the client; Duration::max() without a minimum.
  Duration left() const { return bytes_per_second_ > 0 ? credit_ : Duration::max(); }

 private:
  std::uint64_t bytes_per_second_;
  Duration most_;
  Duration credit_ = kGrace;
  std::uint64_t total_ = 0;
};

}  // namespace router::proxy

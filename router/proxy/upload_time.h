#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "router/base/time.h"

namespace router::proxy {

/// How long an exchange that holds a slot may wait for its client's body (contract, section 5): `upload_timeout_ms`, plus 1 s
/// for each MB of the Content-Length. Time in which the pod takes nothing does not count. With a minimum rate alone, a few slow
/// clients that keep it could hold all slots.
class UploadTime {
 public:
  static constexpr std::chrono::seconds kFirstByte{1};  // after a 100 (Continue)

  /// `length`: the Content-Length; 0 without one.
  UploadTime(Duration timeout, std::uint64_t length) : left_(timeout + std::chrono::milliseconds(length / 1000)) {}

  /// The router has waited for the client for `time`.
  void waited(Duration time) {
    left_ = std::max(left_ - time, Duration::zero());
    first_byte_ = std::max(first_byte_ - time, Duration::zero());
  }
  Duration left() const { return left_; }
  Duration left_for_first_byte() const { return first_byte_; }

 private:
  Duration left_;
  Duration first_byte_ = kFirstByte;
};

}  // namespace router::proxy

#pragma once

#include <array>
#include <chrono>
#include <string_view>

#include "router/base/time.h"

namespace router::http {

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7).
inline constexpr std::size_t kDateSize = 29;
std::array<char, kDateSize> format_date(std::chrono::system_clock::time_point time);

/// The current time as a field value, formatted once a second: a call costs one comparison and no system call. A change of the
/// system clock takes effect within one second. One thread.
class Date {
 public:
  /// `now` is the monotonic time. The result is valid until the next call.
  std::string_view at(TimePoint now) {
    if (now >= until_) renew(now);
    return {text_.data(), text_.size()};
  }

 private:
  void renew(TimePoint now);

  std::array<char, kDateSize> text_{};
  TimePoint until_ = TimePoint::min();  // the text is valid before this time
};

}  // namespace router::http

#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "router/base/text.h"

namespace router::http {

/// A client's `x-ms-client-request-id`, cleaned as Azure ML documents it: letters, digits, `-` and `_` are kept, other
/// characters are dropped, then at most 40 characters are kept. Safe in a field, in a log line and in a header of the router.
class ClientRequestId {
 public:
  static constexpr std::size_t kMax = 40;  // characters

  constexpr ClientRequestId() = default;
  constexpr explicit ClientRequestId(std::string_view sent) {
    for (const char c : sent) {
      if (size_ == kMax) break;
      if (is_alphanumeric(c) || c == '-' || c == '_') text_[size_++] = c;
    }
  }
  constexpr bool empty() const { return size_ == 0; }
  constexpr std::string_view view() const { return {text_.data(), size_}; }  // valid while this object exists and is not moved

 private:
  std::array<char, kMax> text_{};
  std::size_t size_ = 0;
};

}  // namespace router::http

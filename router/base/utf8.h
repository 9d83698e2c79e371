#pragma once

#include <cstddef>
#include <string_view>

namespace router {

/// A character of UTF-8 as Unicode, table 3-7, has it: nothing overlong, no surrogate, nothing beyond U+10FFFF.
struct CodePoint {
  char32_t code = 0;
  std::size_t bytes = 0;  // 0: there is none
};

/// The one at the beginning of `text`.
CodePoint first_code_point(std::string_view text);

}  // namespace router

#pragma once

#include <cstddef>
#include <string_view>

namespace router {

/// A character of well-formed UTF-8 (Unicode, table 3-7): no overlong form, no surrogate, nothing above U+10FFFF.
struct CodePoint {
  char32_t code = 0;
  std::size_t bytes = 0;  // 0: the text is empty or does not begin with a valid character
};

/// The character at the beginning of `text`.
CodePoint first_code_point(std::string_view text);

}  // namespace router

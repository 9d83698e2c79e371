#include "router/base/one_line.h"

#include <algorithm>
#include <cstddef>

#include "router/base/utf8.h"

namespace router {
namespace {

bool ends_or_steers(char32_t c) {
  return c < ' ' || (c >= 0x7f && c < 0xa0) || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

}  // namespace

void append_on_one_line(std::string& to, std::string_view text) {
  while (!text.empty()) {
    const CodePoint found = first_code_point(text);
    const std::size_t bytes = std::max<std::size_t>(found.bytes, 1);
    if (found.bytes == 0 || ends_or_steers(found.code)) {
      to.push_back('?');
    } else {
      to.append(text.substr(0, bytes));
    }
    text.remove_prefix(bytes);
  }
}

std::string on_one_line(std::string_view text) {
  std::string line;
  append_on_one_line(line, text);
  return line;
}

}  // namespace router

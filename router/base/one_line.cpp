#include "router/base/one_line.h"

#include <cstddef>

namespace router {
namespace {

struct Character {
  char32_t code = 0;
  std::size_t bytes = 1;
  bool is_good = false;
};

/// The one at the beginning of `text`, which is not empty.
Character first_of(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) return {first, 1, true};
  const std::size_t bytes = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < bytes) return {};
  char32_t code = first & (0xffu >> (bytes + 1));
  for (std::size_t i = 1; i < bytes; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xc0) != 0x80) return {};
    code = code << 6 | (next & 0x3fu);
  }
  return {code, bytes, true};
}

bool ends_or_steers(char32_t c) {
  return c < ' ' || (c >= 0x7f && c < 0xa0) || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

}  // namespace

void append_on_one_line(std::string& to, std::string_view text) {
  while (!text.empty()) {
    const Character character = first_of(text);
    if (character.is_good && !ends_or_steers(character.code)) {
      to.append(text.substr(0, character.bytes));
    } else {
      to.push_back('?');
    }
    text.remove_prefix(character.bytes);
  }
}

std::string on_one_line(std::string_view text) {
  std::string line;
  append_on_one_line(line, text);
  return line;
}

}  // namespace router

#include "router/base/json_text.h"

#include <cstddef>
#include <cstdint>

namespace router {
namespace {

void append_escape(std::string& to, std::uint32_t code) {
  static constexpr char kHex[] = "0123456789abcdef";
  to.append("\\u");
  for (int shift = 12; shift >= 0; shift -= 4) to.push_back(kHex[code >> shift & 15]);
}

/// The code point at the beginning of `text`, which begins with a byte above 0x7f, and its bytes (Unicode, table 3-7: nothing
/// overlong, no surrogates, nothing beyond U+10FFFF). 0 bytes: it is none.
struct CodePoint {
  std::uint32_t code = 0;
  std::size_t bytes = 0;
};

CodePoint code_point(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  const std::size_t bytes = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < bytes) return {};
  std::uint32_t code = first & (0xffU >> (bytes + 1));
  for (std::size_t i = 1; i < bytes; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xc0) != 0x80) return {};
    code = code << 6 | (next & 0x3f);
  }
  constexpr std::uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool is_surrogate = code >= 0xd800 && code <= 0xdfff;
  if (code < kLeast[bytes] || code > 0x10ffff || is_surrogate) return {};
  return {code, bytes};
}

bool ends_a_line(std::uint32_t code) { return code == 0x2028 || code == 0x2029 || (code >= 0x80 && code < 0xa0); }

}  // namespace

void append_json_text(std::string& to, std::string_view text) {
  while (!text.empty()) {
    const auto byte = static_cast<unsigned char>(text.front());
    std::size_t taken = 1;
    if (byte == '"' || byte == '\\') {
      to.push_back('\\');
      to.push_back(text.front());
    } else if (byte == '\n') {
      to.append("\\n");
    } else if (byte < 0x20 || byte == 0x7f) {
      append_escape(to, byte);
    } else if (byte < 0x7f) {
      to.push_back(text.front());
    } else if (const CodePoint found = code_point(text); found.bytes == 0) {
      append_escape(to, 0xfffd);
    } else {
      taken = found.bytes;
      if (ends_a_line(found.code)) {
        append_escape(to, found.code);
      } else {
        to.append(text, 0, taken);
      }
    }
    text.remove_prefix(taken);
  }
}

}  // namespace router

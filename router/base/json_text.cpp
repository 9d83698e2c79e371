#include "router/base/json_text.h"

#include <cstddef>
#include <cstdint>

#include "router/base/utf8.h"

namespace router {
namespace {

void append_escape(std::string& to, std::uint32_t code) {
  static constexpr char kHex[] = "0123456789abcdef";
  to.append("\\u");
  for (int shift = 12; shift >= 0; shift -= 4) to.push_back(kHex[code >> shift & 15]);
}

bool ends_a_line(char32_t code) { return code == 0x2028 || code == 0x2029 || (code >= 0x80 && code < 0xa0); }

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
    } else if (const CodePoint found = first_code_point(text); found.bytes == 0) {
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

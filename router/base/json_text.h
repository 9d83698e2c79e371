#pragma once

#include <string>
#include <string_view>

namespace router {

/// Appends `text` as the content of a JSON string (RFC 8259, section 7). Escapes quotes, backslashes and control characters,
/// also Unicode's control characters and line ends (U+0080 to U+009F, U+2028, U+2029), so that every reader sees one line.
/// Copies valid UTF-8; each byte that is not part of valid UTF-8 becomes U+FFFD.
void append_json_text(std::string& to, std::string_view text);

}  // namespace router

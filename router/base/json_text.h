#pragma once

#include <string>
#include <string_view>

namespace router {

/// Appends `text` as the inside of a JSON string (RFC 8259, section 7): quotes, backslashes and control characters are escaped,
/// those of Unicode and its line ends (U+0080 to U+009F, U+2028, U+2029) too, so that the line stays one line to whatever reads
/// it. UTF-8 passes; each byte that is no part of it becomes U+FFFD.
void append_json_text(std::string& to, std::string_view text);

}  // namespace router

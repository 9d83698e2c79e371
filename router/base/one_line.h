#pragma once

#include <string>
#include <string_view>

/// Text from outside (a path, a library's message, a name in a cluster) where one line is expected: in a log, a finding, a
/// comment.
namespace router {

/// Appends `text` and replaces by `?`: line ends, also those of Unicode and YAML 1.1 (U+0085, U+2028, U+2029); control
/// characters, which could control a terminal; characters that change the direction of text (U+202A to U+202E, U+2066 to
/// U+2069); each byte that is not valid UTF-8. Any thread.
void append_on_one_line(std::string& to, std::string_view text);
std::string on_one_line(std::string_view text);

}  // namespace router

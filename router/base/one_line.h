#pragma once

#include <string>
#include <string_view>

/// Text of others (a path, a library's words, a name in a cluster) where one line is expected: a log, a finding, a comment.
namespace router {

/// Appends `text` without what ends a line, in Unicode and YAML 1.1 too (U+0085, U+2028, U+2029), and without what steers a
/// terminal or turns the order of its text (control characters, U+202A to U+202E, U+2066 to U+2069): each becomes `?`, and so
/// does each byte that is no UTF-8. Any thread.
void append_on_one_line(std::string& to, std::string_view text);
std::string on_one_line(std::string_view text);

}  // namespace router

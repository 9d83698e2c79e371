#pragma once

#include <string>
#include <string_view>

namespace router::config {

/// Whether `text` is UTF-8 (RFC 3629) with only characters that YAML allows: no control characters except tab and line ends.
/// yaml-cpp takes 0x04 for the end of the file, and would silently drop the rest.
bool is_plain_text(std::string_view text);

/// Makes a path from a file absolute against the folder of that file.
std::string absolute_path(const std::string& file, const std::string& path);

}  // namespace router::config

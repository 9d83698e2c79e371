#pragma once

#include <string>
#include <string_view>

namespace router::config {

/// Whether `text` is UTF-8 (RFC 3629) of characters that YAML allows: no control characters but tab and line ends. yaml-cpp
/// itself takes 0x04 for the end of the file, and would silently drop what follows.
bool is_plain_text(std::string_view text);

/// A path as an operator wrote it, made absolute against the folder of the file that names it.
std::string absolute_path(const std::string& file, const std::string& path);

}  // namespace router::config

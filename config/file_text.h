#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace router::config {

/// The content of a file, or why there is none (`mistake` is then not empty; it names no content).
struct FileText {
  std::string text;
  std::string mistake;
  bool out_of_reach = false;  // this process has too few descriptors or too little memory: nothing is said of the file
};

/// Reads a regular file of at most `bytes_max`; symbolic links are followed. A pipe or a device is refused and never waited
/// for.
FileText read_file(const std::string& path, std::size_t bytes_max);

/// Whether `text` is UTF-8 (RFC 3629) of characters that YAML allows: no control characters but tab and line ends. yaml-cpp
/// itself takes 0x04 for the end of the file, and would silently drop what follows.
bool is_plain_text(std::string_view text);

/// A path as an operator wrote it, made absolute against the folder of the file that names it.
std::string absolute_path(const std::string& file, const std::string& path);

}  // namespace router::config

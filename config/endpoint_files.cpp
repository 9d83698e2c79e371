#include "config/endpoint_files.h"

#include <glob.h>

#include <filesystem>

#include "config/file_text.h"
#include "config/overlay.h"

namespace router::config {
namespace {

constexpr const char* kSpecial = "*?[\\";

std::string escape(const std::string& path) {
  std::string escaped;
  for (const char c : path) {
    if (std::string_view(kSpecial).find(c) != std::string_view::npos) escaped += '\\';
    escaped += c;
  }
  return escaped;
}

bool has_wildcards(const std::string& pattern) {
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '\\') {
      ++i;  // the next character is literal
    } else if (pattern[i] == '*' || pattern[i] == '?' || pattern[i] == '[') {
      return true;
    }
  }
  return false;
}

std::string unescape(const std::string& pattern) {
  std::string path;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '\\' && i + 1 < pattern.size()) ++i;
    path += pattern[i];
  }
  return path;
}

std::vector<std::string> expand_glob(const std::string& pattern, int flags) {
  std::vector<std::string> paths;
  glob_t found{};
  if (::glob(pattern.c_str(), flags, nullptr, &found) == 0) paths.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  ::globfree(&found);
  return paths;
}

/// A dangling link may lead to a folder later.
bool is_folder_or_may_become_one(const std::string& path) {
  std::error_code error;
  const std::filesystem::file_type type = std::filesystem::status(path, error).type();
  return type == std::filesystem::file_type::directory || type == std::filesystem::file_type::not_found;
}

/// Finds the folders that are searched for the last part of the pattern, and those that are searched for an earlier part with
/// wildcards.
void find_folders(const std::filesystem::path& pattern, std::vector<std::string>& into) {
  std::filesystem::path so_far;
  for (const std::filesystem::path& part : pattern) {
    if (has_wildcards(part.string())) {
      if (!has_wildcards(so_far.string())) into.push_back(unescape(so_far.string()));  // the folder may be created later
      for (const std::string& folder : expand_glob(so_far.string(), 0)) {
        if (is_folder_or_may_become_one(folder)) into.push_back(folder);
      }
    }
    so_far /= part;
  }
}

}  // namespace

std::string absolute_pattern(const std::string& file, const std::string& pattern) {
  if (pattern.starts_with('/')) return std::filesystem::path(pattern).lexically_normal().string();
  const std::string folder = std::filesystem::path(file).parent_path().string();
  return (std::filesystem::path(escape(folder)) / pattern).lexically_normal().string();
}

std::vector<std::string> overlay_patterns(const std::string& absolute_pattern) {
  std::vector<std::string> patterns;
  const std::filesystem::path folder = std::filesystem::path(absolute_pattern).parent_path();
  for (const char* ending : kOverlayEndings) patterns.push_back((folder / (std::string("*") + ending)).string());
  return patterns;
}

Matches find_matches(const std::string& absolute_pattern) {
  Matches matches;
  matches.has_wildcards = has_wildcards(absolute_pattern);
  if (!matches.has_wildcards) {
    const std::string file = unescape(absolute_pattern);
    matches.folders.push_back(std::filesystem::path(file).parent_path().string());
    std::error_code error;
    if (std::filesystem::exists(file, error)) matches.files.push_back(file);
    return matches;
  }
  find_folders(absolute_pattern, matches.folders);
  matches.files = expand_glob(absolute_pattern, 0);
  matches.too_many = matches.files.size() > kMatchesMax;
  if (matches.too_many) matches.files.resize(kMatchesMax);
  return matches;
}

}  // namespace router::config

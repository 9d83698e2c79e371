#pragma once

#include <string>
#include <vector>

namespace router::config {

/// A pattern of `endpoints:` made absolute: `*`, `?` and `[…]` in it are wildcards, in the folder of `file` they are not.
std::string absolute_pattern(const std::string& file, const std::string& pattern);

/// Patterns for the overlays in the folders in which an absolute pattern looks for files.
std::vector<std::string> overlay_patterns(const std::string& absolute_pattern);

/// What a pattern finds now, and where a change could make it find something else.
struct Matches {
  std::vector<std::string> files;    // in alphabetical order
  std::vector<std::string> folders;  // whose content decides: of `teams/*/*.yml`, `teams` and each folder in it; there or not
  bool has_wildcards = false;        // false: the one file must be there
  bool too_many = false;             // more than kMatchesMax
};
inline constexpr std::size_t kMatchesMax = 10'000;
Matches find_matches(const std::string& absolute_pattern);

}  // namespace router::config

#pragma once

#include <string>
#include <vector>

namespace router::config {

/// Makes a pattern of `endpoints:` absolute. `*`, `?` and `[…]` are wildcards in the pattern, but not in the folder of `file`.
std::string absolute_pattern(const std::string& file, const std::string& pattern);

/// Returns the patterns that match the overlays in the folders in which an absolute pattern looks for files.
std::vector<std::string> overlay_patterns(const std::string& absolute_pattern);

/// The files that a pattern matches now, and the folders in which a change may alter the result.
struct Matches {
  std::vector<std::string> files;  // in alphabetical order
  std::vector<std::string>
      folders;  // whose content decides the result: for `teams/*/*.yml`, `teams` and each folder in it; they need not exist
  bool has_wildcards = false;  // false: the one file must exist
  bool too_many = false;       // more than kMatchesMax
};
inline constexpr std::size_t kMatchesMax = 10'000;
Matches find_matches(const std::string& absolute_pattern);

}  // namespace router::config

#pragma once

#include <string>
#include <string_view>

namespace router::config {

/// A scalar after expansion: `${NAME}` becomes the value of that environment variable, and `$$` becomes one dollar sign. Any
/// other dollar sign stays. The value of a variable is not expanded again. If `mistake` is not empty, it says why expansion
/// failed.
struct Expanded {
  std::string text;
  std::string mistake;
};
Expanded expand(std::string_view text);

}  // namespace router::config

#pragma once

#include <string>
#include <string_view>

namespace router::config {

/// A scalar with `${NAME}` replaced by that environment variable and `$$` by one dollar sign; or why it cannot be (`mistake` is
/// then not empty). A dollar sign before anything else stands for itself. What a variable holds is not expanded again.
struct Expanded {
  std::string text;
  std::string mistake;
};
Expanded expand(std::string_view text);

}  // namespace router::config

#pragma once

#include <string>
#include <string_view>

namespace router::config {

/// A template's placeholder that still stands in a text, as it stands there: `{{NAME}}` anywhere, `<NAME>` as the whole of it.
/// Empty: none. `${NAME}` is none, as it is an environment variable (expand.h).
std::string placeholder_in(std::string_view text);

/// What is wrong with a line at which YAML's syntax ends, if it is a usual slip: a tab in the indentation, a placeholder.
/// Empty: it is none.
std::string describe_slip(std::string_view line);

}  // namespace router::config

#pragma once

#include <string>
#include <string_view>

namespace router::config {

/// The placeholder of a template that was not replaced in a text: `{{NAME}}` anywhere, or `<NAME>` as the whole text. Empty:
/// none. `${NAME}` does not count, as it is an environment variable (expand.h).
std::string placeholder_in(std::string_view text);

/// Describes a common slip in a line where YAML cannot be parsed: a tab in the indentation, or a placeholder. Empty: neither.
std::string describe_slip(std::string_view line);

}  // namespace router::config

#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace router::config {

/// The JSON schema (draft-07, which editors know) of a sort of file, indented, with a line end: what the readers ask for
/// (outline.h), so it has every key that reading knows, with type, bounds and default. What it cannot say, and reading refuses:
/// rules over several keys or files (names that meet, shares that sum to 100), and how texts are formed (addresses, host
/// names, paths). Nothing for a sort that is none of `schema_names`. docs/configuration.md.
std::optional<std::string> json_schema(std::string_view name);

/// `router`, `overlay`, `endpoint`, `deployment`, and the resources `OnlineEndpoint`, `OnlineDeployment`.
std::vector<std::string> schema_names();

}  // namespace router::config

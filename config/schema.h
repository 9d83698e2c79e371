#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace router::config {

/// Returns the JSON schema of one kind of file (draft-07, which editors support), indented, with a line end. It is built from
/// what the readers ask for (outline.h), so it has every key that they know, with type, bounds and default. It does not contain
/// some rules that the readers check: rules across keys or files (duplicate names, shares that sum to 100), and the format of
/// texts (addresses, host names, paths). Returns nullopt for a name that is not among `schema_names`. docs/configuration.md.
std::optional<std::string> json_schema(std::string_view name);

/// `router`, `overlay`, `endpoint`, `deployment`, and the resources `OnlineEndpoint`, `OnlineDeployment`.
std::vector<std::string> schema_names();

}  // namespace router::config

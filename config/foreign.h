#pragma once

#include <string>

#include "config/reader.h"

namespace router::config {

/// Of a document that is another tool's, what it is, by what that shows, and what to do: for a mistake in place of a dozen
/// about keys. Empty: it is none of those that are known here.
std::string describe_foreign(const MapReader& document);
/// The same for a document that stands where router.yaml should: also what belongs below its `endpoints`.
std::string describe_foreign_router_yaml(const MapReader& document);

}  // namespace router::config

#pragma once

#include <string>

#include "config/reader.h"

namespace router::config {

/// Recognizes a document of another tool. Returns what it is, which keys show it, and what to do, so that one mistake replaces
/// a dozen about unknown keys. Empty: not recognized.
std::string describe_foreign(const MapReader& document);
/// The same for a document in place of router.yaml. Also recognizes a document that belongs below router.yaml's `endpoints`.
std::string describe_foreign_router_yaml(const MapReader& document);

}  // namespace router::config

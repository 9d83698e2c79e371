#pragma once

#include <absl/status/statusor.h>

#include <boost/json/object.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace router::kubernetes {

/// How many nested levels of objects and arrays are read from an API server. Kubernetes' own schemas need less than half of
/// it; in a resource without a schema the author decides.
inline constexpr std::size_t kJsonDepthMax = 100;

/// Parses one JSON object. The error quotes nothing of the text, which may contain secrets. Values deeper than kJsonDepthMax
/// are read as null, so that one object that is nested too deep does not make a whole list unreadable.
absl::StatusOr<boost::json::object> parse_object(std::string_view text);

/// The member `key` of an object; nullptr, empty or nothing if it is missing or has another type.
const boost::json::object* object_in(const boost::json::object& object, std::string_view key);
std::string text_in(const boost::json::object& object, std::string_view key);
std::optional<std::int64_t> number_in(const boost::json::object& object, std::string_view key);

/// `metadata.KEY`: `name`, `namespace`, `resourceVersion`; empty if it is missing.
std::string metadata_text(const boost::json::object& object, std::string_view key);

}  // namespace router::kubernetes

#pragma once

#include <absl/status/statusor.h>

#include <boost/json/object.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace router::kubernetes {

/// Levels of maps and lists that are read of what an API server sends. Its own schemas stay below half of it; where a resource
/// may hold anything, its author decides.
inline constexpr std::size_t kJsonDepthMax = 100;

/// One JSON object; fails without a word of the text, which may hold secrets. What stands deeper than kJsonDepthMax is read as
/// null: one object that somebody has nested too deep must not make the list of all of them unreadable.
absl::StatusOr<boost::json::object> parse_object(std::string_view text);

/// The member `key` of an object, if it is there and of that type.
const boost::json::object* object_in(const boost::json::object& object, std::string_view key);
std::string text_in(const boost::json::object& object, std::string_view key);
std::optional<std::int64_t> number_in(const boost::json::object& object, std::string_view key);

/// `metadata.KEY`: `name`, `namespace`, `resourceVersion`; empty if it is not there.
std::string metadata_text(const boost::json::object& object, std::string_view key);

}  // namespace router::kubernetes

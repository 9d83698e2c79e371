#pragma once

#include <absl/status/statusor.h>

#include <boost/json/object.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace router::kubernetes {

/// Levels of maps and lists in what an API server sends. Its own schemas stay below half of it.
inline constexpr std::size_t kJsonDepthMax = 100;

/// One JSON object; fails without a word of the text, which may hold secrets.
absl::StatusOr<boost::json::object> parse_object(std::string_view text);

/// The member `key` of an object, if it is there and of that type.
const boost::json::object* object_in(const boost::json::object& object, std::string_view key);
std::string text_in(const boost::json::object& object, std::string_view key);
std::optional<std::int64_t> number_in(const boost::json::object& object, std::string_view key);

/// `metadata.KEY`: `name`, `namespace`, `resourceVersion`; empty if it is not there.
std::string metadata_text(const boost::json::object& object, std::string_view key);

}  // namespace router::kubernetes

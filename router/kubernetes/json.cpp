#include "router/kubernetes/json.h"

#include <boost/json/error.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

namespace router::kubernetes {

namespace json = boost::json;

namespace {

/// The text with `null` instead of each object and array that is deeper than kJsonDepthMax. If the text is not JSON, the result
/// is not either.
std::string without_the_depths(std::string_view text) {
  std::string kept;
  std::size_t depth = 0;
  bool in_string = false;
  bool escaped = false;
  for (const char c : text) {
    const bool begins = !in_string && (c == '{' || c == '[');
    const bool ends = !in_string && (c == '}' || c == ']');
    if (begins && depth++ == kJsonDepthMax) kept += "null";
    if (depth <= kJsonDepthMax) kept += c;
    if (ends && depth > 0) --depth;
    if (c == '"' && !escaped) in_string = !in_string;
    escaped = in_string && c == '\\' && !escaped;
  }
  return kept;
}

}  // namespace

absl::StatusOr<json::object> parse_object(std::string_view text) {
  json::parse_options options;
  options.max_depth = kJsonDepthMax;
  boost::system::error_code error;
  json::value value = json::parse(text, error, {}, options);
  if (error == json::error::too_deep) value = json::parse(without_the_depths(text), error, {}, options);
  if (error || !value.is_object()) return absl::DataLossError("is not a JSON object");
  json::object object = std::move(value.get_object());
  return object;
}

const json::object* object_in(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr ? value->if_object() : nullptr;
}

std::string text_in(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  const json::string* text = value != nullptr ? value->if_string() : nullptr;
  return text != nullptr ? std::string(text->data(), text->size()) : "";
}

std::optional<std::int64_t> number_in(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr || !value->is_int64()) return std::nullopt;
  return value->get_int64();
}

std::string metadata_text(const json::object& object, std::string_view key) {
  const json::object* metadata = object_in(object, "metadata");
  return metadata != nullptr ? text_in(*metadata, key) : "";
}

}  // namespace router::kubernetes

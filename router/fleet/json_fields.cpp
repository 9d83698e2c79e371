#include "router/fleet/json_fields.h"

#include <absl/strings/str_cat.h>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <limits>
#include <utility>

#include "router/base/text.h"

namespace router::fleet {

namespace json = boost::json;

absl::StatusOr<json::object> parse_object(std::string_view text, std::size_t size_max) {
  if (text.size() > size_max) return absl::InvalidArgumentError(absl::StrCat("longer than ", size_max, " bytes"));
  json::parse_options options;
  options.max_depth = 8;
  boost::system::error_code error;
  json::value value = json::parse({text.data(), text.size()}, error, {}, options);
  if (error) return absl::InvalidArgumentError(absl::StrCat("not JSON: ", error.message()));
  json::object* const object = value.if_object();
  if (object == nullptr) return absl::InvalidArgumentError("not a JSON object");
  return std::move(*object);
}

const json::value* Fields::find(std::string_view key) const { return object_.if_contains({key.data(), key.size()}); }

void Fields::refuse(std::string_view key, const std::string& why) {
  if (status_.ok()) status_ = absl::InvalidArgumentError(absl::StrCat("field ", to_absl(key), ": ", why));
}

void Fields::read(std::string_view key, std::string& value, std::size_t length_max) {
  const json::value* const found = find(key);
  if (found == nullptr) return;
  const json::string* const text = found->if_string();
  if (text == nullptr) return refuse(key, "not a string");
  if (text->size() > length_max) return refuse(key, "too long");
  value.assign(text->data(), text->size());
}

void Fields::read(std::string_view key, std::uint64_t& value) {
  const json::value* const found = find(key);
  if (found == nullptr) return;
  // Half of the range, so that the next number always exists.
  boost::system::error_code error;
  const auto number = found->to_number<std::uint64_t>(error);
  if (error || number > std::numeric_limits<std::uint64_t>::max() / 2) return refuse(key, "not a number in range");
  value = number;
}

void Fields::read(std::string_view key, std::int64_t& value) {
  const json::value* const found = find(key);
  if (found == nullptr) return;
  boost::system::error_code error;
  const auto number = found->to_number<std::int64_t>(error);
  if (error) return refuse(key, "not a number in range");
  value = number;
}

void Fields::read(std::string_view key, std::uint32_t& value) {
  const json::value* const found = find(key);
  if (found == nullptr) return;
  boost::system::error_code error;
  const auto number = found->to_number<std::uint32_t>(error);
  if (error) return refuse(key, "not a number in range");
  value = number;
}

void Fields::read(std::string_view key, bool& value) {
  const json::value* const found = find(key);
  if (found == nullptr) return;
  const bool* const flag = found->if_bool();
  if (flag == nullptr) return refuse(key, "neither true nor false");
  value = *flag;
}

const json::array* Fields::array(std::string_view key, std::size_t count_max) {
  const json::value* const found = find(key);
  if (found == nullptr) return nullptr;
  const json::array* const array = found->if_array();
  if (array == nullptr || array->size() > count_max) {
    refuse(key, array == nullptr ? "not an array" : "too many elements");
    return nullptr;
  }
  return array;
}

const json::object* Fields::object(std::string_view key, std::size_t count_max) {
  const json::value* const found = find(key);
  if (found == nullptr) return nullptr;
  const json::object* const object = found->if_object();
  if (object == nullptr || object->size() > count_max) {
    refuse(key, object == nullptr ? "not an object" : "too many members");
    return nullptr;
  }
  return object;
}

}  // namespace router::fleet

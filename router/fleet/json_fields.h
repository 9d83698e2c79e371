#pragma once

#include <absl/status/statusor.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace router::fleet {

/// Parses one JSON object that is nested at most 8 levels deep. The error quotes nothing of the text.
absl::StatusOr<boost::json::object> parse_object(std::string_view text, std::size_t size_max);

/// Reads the fields of an object from a peer. A field that is missing leaves the value as it is; one of a wrong type or beyond
/// its bound makes the object bad. The first mistake stays: look at `status` once, at the end.
class Fields {
 public:
  explicit Fields(const boost::json::object& object) : object_(object) {}

  void read(std::string_view key, std::string& value, std::size_t length_max);
  void read(std::string_view key, std::uint64_t& value);
  void read(std::string_view key, std::int64_t& value);
  void read(std::string_view key, std::uint32_t& value);
  void read(std::string_view key, bool& value);

  /// The array or object of that name, or nullptr; more elements than `count_max` are a mistake.
  const boost::json::array* array(std::string_view key, std::size_t count_max);
  const boost::json::object* object(std::string_view key, std::size_t count_max);

  void refuse(std::string_view key, const absl::Status& why) { refuse(key, std::string(why.message())); }
  void refuse(std::string_view key, const std::string& why);
  void refuse(std::string_view key, const char* why) { refuse(key, std::string(why)); }
  const absl::Status& status() const { return status_; }

 private:
  const boost::json::value* find(std::string_view key) const;

  const boost::json::object& object_;
  absl::Status status_;
};

}  // namespace router::fleet

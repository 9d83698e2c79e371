#pragma once

#include <absl/status/statusor.h>

#include <boost/json/object.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace router::kubernetes {

/// Splits the body of a watch into lines of text, one event each. The bytes may arrive in pieces of any size.
class EventLines {
 public:
  static constexpr std::size_t kEventMax = 8 * 1024 * 1024;  // bytes; an object in etcd has at most 1.5 MB

  /// The buffer to which the caller appends bytes as they arrive.
  std::string& bytes() { return bytes_; }
  /// The next line without its end, valid until more bytes are appended; nothing if it is not complete yet.
  std::optional<std::string_view> next();
  /// Whether the incomplete line is longer than kEventMax.
  bool is_too_long() const { return bytes_.size() - begin_ > kEventMax; }

 private:
  std::string bytes_;
  std::size_t begin_ = 0;    // of the next line
  std::size_t scanned_ = 0;  // no line ends before it
};

struct WatchEvent {
  enum class Type { kAdded, kModified, kDeleted, kBookmark, kError };
  Type type = Type::kError;
  boost::json::object object;  // kError: a Status
};

/// Parses one line of a watch. The error quotes nothing of it, because the object may be a secret.
absl::StatusOr<WatchEvent> parse_event(std::string_view line);

}  // namespace router::kubernetes

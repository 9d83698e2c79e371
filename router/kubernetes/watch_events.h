#pragma once

#include <absl/status/statusor.h>

#include <boost/json/object.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace router::kubernetes {

/// Cuts the body of a watch into its lines, one event each, however its bytes arrive.
class EventLines {
 public:
  static constexpr std::size_t kEventMax = 8 * 1024 * 1024;  // bytes; an object in etcd has at most 1.5 MB

  /// Where bytes are appended as they arrive.
  std::string& bytes() { return bytes_; }
  /// The next line without its end, valid until more is appended; nothing: it has not arrived yet.
  std::optional<std::string_view> next();
  /// The line that is under way is too long to be waited for.
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

/// One line of a watch. Fails without a word of it, as objects may be secrets.
absl::StatusOr<WatchEvent> parse_event(std::string_view line);

}  // namespace router::kubernetes

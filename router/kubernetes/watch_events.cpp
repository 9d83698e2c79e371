#include "router/kubernetes/watch_events.h"

#include <algorithm>
#include <array>
#include <utility>

#include "router/base/assert.h"
#include "router/kubernetes/json.h"

namespace router::kubernetes {
namespace {

constexpr std::size_t kMemoryKept = 1024 * 1024;  // bytes that the empty buffer keeps between two events

std::optional<WatchEvent::Type> type_of(const std::string& name) {
  using Type = WatchEvent::Type;
  static const std::array<std::pair<const char*, Type>, 5> kTypes{{{"ADDED", Type::kAdded},
                                                                   {"MODIFIED", Type::kModified},
                                                                   {"DELETED", Type::kDeleted},
                                                                   {"BOOKMARK", Type::kBookmark},
                                                                   {"ERROR", Type::kError}}};
  const auto found = std::find_if(kTypes.begin(), kTypes.end(), [&](const auto& known) { return name == known.first; });
  if (found == kTypes.end()) return std::nullopt;
  return found->second;
}

}  // namespace

std::optional<std::string_view> EventLines::next() {
  const std::size_t end = bytes_.find('\n', scanned_);
  if (end != std::string::npos) {
    const std::string_view line = std::string_view(bytes_).substr(begin_, end - begin_);
    begin_ = scanned_ = end + 1;
    return line;
  }
  bytes_.erase(0, std::exchange(begin_, 0));
  scanned_ = bytes_.size();
  if (bytes_.empty() && bytes_.capacity() > kMemoryKept) bytes_.shrink_to_fit();
  return std::nullopt;
}

absl::StatusOr<WatchEvent> parse_event(std::string_view line) {
  auto parsed = parse_object(line);
  if (!parsed.ok()) return parsed.status();
  const std::optional<WatchEvent::Type> type = type_of(text_in(*parsed, "type"));
  boost::json::value* object = parsed->if_contains("object");
  ROUTER_PLANT(type && object != nullptr && !object->is_object());
  if (!type || object == nullptr || !object->is_object()) return absl::DataLossError("is not a watch event");
  WatchEvent event;
  event.type = *type;
  event.object = std::move(object->get_object());
  return event;
}

}  // namespace router::kubernetes

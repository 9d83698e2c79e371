#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "router/kubernetes/api_client.h"
#include "router/kubernetes/group_version_resource.h"
#include "router/kubernetes/watcher.h"
#include "router/runtime/task_group.h"

namespace router::kubernetes {

/// The objects that a Reflector follows.
struct Selection {
  GroupVersionResource resource;
  std::string namespace_name;  // empty: all namespaces
  std::string field_selector;  // in the API server's syntax, like `label_selector`; empty: all objects
  std::string label_selector;
};

/// The field selector of one object. For a list or watch with it, rights that a role limits to that name suffice.
inline std::string selector_of_name(const std::string& name) { return "metadata.name=" + name; }

/// Counts since the Reflector was made.
struct ReflectorCounts {
  std::uint64_t lists = 0;    // lists begun
  std::uint64_t watches = 0;  // watches requested
  std::uint64_t gone = 0;     // 410: the server did not have our resourceVersion any more
  std::uint64_t unauthorized = 0;
  std::uint64_t errors = 0;  // all other failures, broken watches included
};

/// Passes the objects of one selection to a Watcher: lists them page by page, then watches for changes, until it is destroyed.
/// A watch that ends or breaks continues at the last resourceVersion. If the server does not have that version any more (410),
/// or sends something that cannot be parsed, the Reflector lists everything again. After a failure it tries again, after a
/// pause given by BackOff or by the server with 429 (at most kRetryAfterMax). Meanwhile the Watcher keeps its objects. A
/// failure that an operator can fix (rights, missing kinds, an unreachable server) is logged once, and so is the recovery.
/// After an exception, also one of the Watcher, it lists everything again.
/// Bounds: pages of kPageObjects objects and ApiClient::kBodyMax bytes (a page that is too large is read again in smaller
/// pages), kObjectsMax objects, events of EventLines::kEventMax bytes. The control thread parses a page or an event in one
/// step: 1 ms for 500 objects of 1 KB, 50 ms for 500 of 24 KB.
/// Control thread. It stops when destroyed (also from inside a call of the Watcher), and calls nothing after that.
class Reflector {
 public:
  static constexpr std::size_t kPageObjects = 500;
  static constexpr std::size_t kObjectsMax = 200'000;
  static constexpr std::chrono::seconds kInterruptedPause{1};  // after an exception, or when its task cannot start
  static constexpr std::size_t kPagesMax = 2'000;
  static constexpr std::chrono::seconds kRetryAfterMax{10};
  static constexpr std::chrono::seconds kWatchMin{240};  // a watch's timeoutSeconds is random between these two
  static constexpr std::chrono::seconds kWatchMax{480};
  static constexpr std::chrono::seconds kWatchGrace{10};   // so much longer than timeoutSeconds the Reflector waits for the end
  static constexpr std::chrono::seconds kSilenceMax{180};  // of a watch that has sent bookmarks, which come once a minute

  /// `client`, `group` and `watcher` outlive this; the client also outlives the task in the group. Starts from the loop, when
  /// the group has room for one more task.
  Reflector(ApiClient& client, runtime::TaskGroup& group, Selection selection, Watcher& watcher);
  Reflector(const Reflector&) = delete;
  Reflector& operator=(const Reflector&) = delete;
  ~Reflector();

  /// Whether the Watcher has received the first complete list.
  bool listed() const;
  /// Whether the server has refused the last request with 403.
  bool forbidden() const;
  /// When the Watcher was last known to be up to date. While a watch is open that is now: a dead connection is detected within
  /// ApiClient::kVanishedAfter, a server that hangs within kSilenceMax or when the watch should have ended. Otherwise it is the
  /// time of the last byte, or of the end of the watch. Nothing before the first answer.
  std::optional<TimePoint> last_word() const;
  const ReflectorCounts& counts() const;

 private:
  struct Following;
  std::shared_ptr<Following> following_;
};

}  // namespace router::kubernetes

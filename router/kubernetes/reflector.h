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

/// Which objects to follow.
struct Selection {
  GroupVersionResource resource;
  std::string namespace_name;  // the namespace; empty: all of them
  std::string field_selector;  // as the API server writes them; empty: all
  std::string label_selector;
};

/// What a Reflector has done since it was made.
struct ReflectorCounts {
  std::uint64_t lists = 0;    // begun
  std::uint64_t watches = 0;  // asked for
  std::uint64_t gone = 0;     // 410: the server did not know our place in its history any more
  std::uint64_t unauthorized = 0;
  std::uint64_t errors = 0;  // everything else that went wrong, a watch that broke off included
};

/// Keeps a Watcher informed of the objects of one selection: lists them, page by page, then watches for changes from there, for
/// as long as it lives. A watch that ends or breaks goes on where it was; when the server has forgotten that place (410), or
/// sends what cannot be read, all is listed anew. Whatever fails is tried again, after a pause as BackOff has it or as the
/// server asks with 429 (at most kRetryAfterMax); until it succeeds the Watcher keeps what it has. What an operator can mend
/// (rights, missing kinds, an unreachable server) is told in the log once, and that it is over. An exception, such as when
/// memory runs out, in here or in the Watcher, ends nothing either: all is listed anew. Bounds: pages of kPageObjects and
/// ApiClient::kBodyMax (with fewer objects if that many are larger), kObjectsMax objects, events of EventLines::kEventMax. A
/// page or an event is parsed in one go on the control thread: 1 ms for 500 objects of 1 KB, 50 ms for 500 of 24 KB. Control
/// thread; ends when destroyed (also from within a call of the Watcher), and calls nothing after that.
class Reflector {
 public:
  static constexpr std::size_t kPageObjects = 500;
  static constexpr std::size_t kObjectsMax = 200'000;
  static constexpr std::chrono::seconds kInterruptedPause{1};  // after an exception, or while it cannot begin
  static constexpr std::size_t kPagesMax = 2'000;
  static constexpr std::chrono::seconds kRetryAfterMax{10};
  static constexpr std::chrono::seconds kWatchMin{240};  // how long one watch is asked to last, at random
  static constexpr std::chrono::seconds kWatchMax{480};
  static constexpr std::chrono::seconds kWatchGrace{10};   // beyond that the server has not kept to it
  static constexpr std::chrono::seconds kSilenceMax{180};  // of a watch that has sent bookmarks, which come once a minute

  /// `client`, `group` and `watcher` outlive this; the client also the task in the group. Begins from the loop, once the group
  /// has room for one more.
  Reflector(ApiClient& client, runtime::TaskGroup& group, Selection selection, Watcher& watcher);
  Reflector(const Reflector&) = delete;
  Reflector& operator=(const Reflector&) = delete;
  ~Reflector();

  /// Whether the first complete list has been given to the Watcher.
  bool listed() const;
  /// Whether the server's last answer was that we may not read them (403).
  bool forbidden() const;
  /// When the Watcher was last known to be up to date. While a watch is open that is now: a dead connection is noticed within
  /// ApiClient::kVanishedAfter, a server that hangs within kSilenceMax, or when the watch should have ended. Otherwise the
  /// time of the last byte, or of the end of the watch. Nothing before the first answer.
  std::optional<TimePoint> last_word() const;
  const ReflectorCounts& counts() const;

 private:
  struct Following;
  std::shared_ptr<Following> following_;
};

}  // namespace router::kubernetes

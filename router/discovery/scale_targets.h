#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "router/base/time.h"
#include "router/kubernetes/api_client.h"
#include "router/kubernetes/errands.h"
#include "router/runtime/task_group.h"

namespace router::discovery {

/// A deployment of the router whose replicas are scaled, and the object whose `spec.replicas` that is.
struct ScaledDeployment {
  std::string key;  // of the caller; unique among all
  std::string namespace_name;
  std::string endpoint;
  std::string deployment;
  config::ScaleTarget target;        // its name is not empty
  bool adopts_azureml_pods = false;  // never read nor written: Azure ML's operator owns the target
  std::chrono::seconds interval{5};  // between two looks; at least kIntervalLeast
  bool operator==(const ScaledDeployment&) const = default;
};

/// Why the target may not be written. If several apply, the first one of this list.
enum class ScaleObstacle {
  kNone,
  kManagedByAzureMl,
  kKindNotSupported,  // neither a Deployment nor a StatefulSet of apps/v1: it could not be marked
  kTargetForbidden,   // the router may not read it, or the API server refuses to show it for another reason
  kTargetMissing,
  kTargetUnreadable,  // it is not what an API server would send
  kTargetNotMarked,   // its annotation kScaledFor does not name the deployment
  kConflictingAutoscaler,
  kHpasUnreadable,  // no right to list them, or the last list is too old
  kScaleForbidden,  // the last write was refused for a missing right. Writes are tried again, after a pause
  kServerAway,      // what is known is older than kStaleAfter. Writes are tried
};

/// What is known of a target. Texts are one line of at most kScaleTextMax bytes and contain no secret.
struct ScaleSeen {
  bool known = false;  // the last answer was the target, and the first list of HorizontalPodAutoscalers was tried
  int replicas = 0;    // spec.replicas; or what the answer to our own write says, if that is newer
  bool rollout = false;
  TimePoint seen{};  // when the API server said so
  ScaleObstacle obstacle = ScaleObstacle::kNone;
  std::string obstacle_text;  // `HorizontalPodAutoscaler team-a/x`
  TimePoint conflicted{};     // when the last HorizontalPodAutoscaler with this target came or went; the epoch: never
  /// The owner of spec.replicas, as `argocd-controller (Apply)`; empty: nobody. For a new leader: replicas that somebody else
  /// has set to 0 are not changes, as it has seen nothing else before.
  std::string writer;
  bool is_ours = false;  // a router has set spec.replicas, this one or an earlier leader
  /// Changes of spec.replicas by others since the target was set, to another number than the one that was seen or written
  /// before: by another manager than kScaleManager; or by a router that is not this one, once the leader before can write no
  /// more.
  std::uint64_t foreign_changes = 0;
  int foreign_replicas = 0;    // of the last one
  std::string foreign_writer;  // of the last one: `argocd-controller (Apply) set 2`
  bool writing = false;        // a write is under way, or whether it was written is not known yet

  bool may_write() const {
    return known && (obstacle == ScaleObstacle::kNone || obstacle == ScaleObstacle::kScaleForbidden ||
                     obstacle == ScaleObstacle::kServerAway);
  }
};

enum class ScaleWriteResult {
  kWritten,
  kConflict,   // the target has changed so that the decision does not apply any more; nothing was written
  kForbidden,  // the router has no right to write it
  kRefused,    // by a quota, a policy, a missing target...
  kUnknown,    // no answer, or an error of the server: it may have been written. `changed` follows when that is known
};
/// `written`, `conflict`, `forbidden`, `refused`, `unknown`.
std::string_view name_of(ScaleWriteResult result);

struct ScaleWritten {
  ScaleWriteResult result = ScaleWriteResult::kWritten;
  int from = 0;
  int replicas = 0;  // that `write` was given
  std::string text;  // why not; one line, at most kScaleTextMax bytes
};

struct ScaleTargetsOptions {
  std::vector<std::string> namespaces;  // served; empty: all
  /// What `seen(key)` returns has changed in more than its time.
  std::function<void(const std::string& key)> changed = [](const std::string&) {};
  /// The end of a write that was begun.
  std::function<void(const std::string& key, const ScaleWritten& written)> written = [](const std::string&,
                                                                                        const ScaleWritten&) {};
};

/// Reads and writes the scale of targets: follows the HorizontalPodAutoscalers of the served namespaces that have targets, gets
/// each target again and again, and writes `spec.replicas` by the subresource `scale`.
///
/// Rights: get on deployments and statefulsets, get and update on their `scale`, list and watch on horizontalpodautoscalers.
///
/// Load on the API server: one GET for each target and interval, at most kLooksPerSecond, except for new targets and
/// `look_now`; never more than kLooksUnderWay at a time. So 1,000 targets cost 50 GETs/s whatever their intervals are, each
/// target one in 20 s. What is seen late does no harm to a write: it carries the resourceVersion that was seen. Plus one watch
/// for each served namespace with targets, or one for all.
///
/// A write is sent at once, behind at most kWritesUnderWay others and no look. A Deployment's resourceVersion changes with its
/// status, so after a conflict the target is read, and written at once if spec.replicas, its mark and the absence of a rollout
/// are still what the decision saw. A write whose answer is missing is not sent again: the target is read first.
///
/// Control thread. After its destruction it calls nothing, and its requests are cancelled: what was under way may have been
/// written. Callbacks come from the loop, never from inside a call; they may call everything.
class ScaleTargets final {
 public:
  static constexpr std::chrono::seconds kIntervalLeast{5};
  static constexpr std::size_t kLooksUnderWay = 4;
  static constexpr std::size_t kWritesUnderWay = 8;
  static constexpr int kLooksPerSecond = 50;
  static constexpr int kTriesMax = 10;                   // of one write, after conflicts
  static constexpr std::chrono::seconds kPauseFirst{1};  // after a refused write; doubles until a write succeeds...
  static constexpr std::chrono::seconds kPauseMost{60};  // ...up to this
  static constexpr std::chrono::seconds kStaleAfter{60};
  static constexpr std::size_t kErrandTasks = kLooksUnderWay + kWritesUnderWay;

  /// The tasks in the group, at most: one watch for each served namespace.
  static std::size_t tasks(std::size_t namespaces) { return kErrandTasks + std::max<std::size_t>(namespaces, 1); }

  /// `client` and `group` (with room for `tasks` more tasks) outlive this; the client also outlives the tasks.
  ScaleTargets(kubernetes::ApiClient& client, runtime::TaskGroup& group, ScaleTargetsOptions options);
  ScaleTargets(const ScaleTargets&) = delete;
  ScaleTargets& operator=(const ScaleTargets&) = delete;
  ~ScaleTargets();

  /// The targets from now on. What is known of one that was there unchanged (but for its interval) stays; others are forgotten,
  /// also writes that are under way, whose end is not told any more. An empty list ends all requests.
  void set(std::vector<ScaledDeployment> wanted);
  /// nullptr: not one of the targets. Valid until the loop goes on or `set` is called.
  const ScaleSeen* seen(const std::string& key) const;
  /// Looks at the target as soon as a request may start; at most one look in 200 ms.
  void look_now(const std::string& key);
  /// Writes `replicas` if spec.replicas is still what `seen(key)` says now. False: nothing was begun, since the target may not
  /// be written (ScaleSeen::may_write), because of ScaleSeen::writing, or in the pause after a write that was refused. True:
  /// `written` tells the end.
  bool write(const std::string& key, int replicas);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace router::discovery

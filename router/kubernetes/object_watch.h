#pragma once

#include <boost/json/object.hpp>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "router/kubernetes/api_client.h"
#include "router/kubernetes/group_version_resource.h"
#include "router/kubernetes/reflector.h"
#include "router/kubernetes/watcher.h"
#include "router/runtime/task_group.h"

namespace router::kubernetes {

struct ObjectName {
  GroupVersionResource resource;
  std::string namespace_name;
  std::string name;
};

/// What an API server says of one object.
struct ObjectState {
  std::optional<boost::json::object> object;  // nothing: it does not exist
  std::string version;  // the resourceVersion of the object, or of its deletion; empty if a list lacked the object
};

/// Follows one object by its name, also while it does not exist, is deleted and made again: a Reflector whose selection is that
/// name, so its pauses, timeouts and bounds are those of the Reflector.
/// Rights: the verbs list and watch. A role may limit them to the object by resourceNames: for a request whose field selector
/// names one object, the API server authorises that name (kubernetes, "Referring to resources").
/// Control thread. It stops when destroyed, and calls nothing after that.
class ObjectWatch final : private Watcher {
 public:
  static constexpr std::size_t kTasks = 1;  // tasks in the group, at most

  /// `client` and `group` outlive this; the client also outlives the task in the group. `told` is called from the loop with the
  /// first state and with each other one; if it throws, with the state at that time again after Reflector::kInterruptedPause.
  /// It must not destroy this. States are in the order of the API server; a state may be older than what another request has
  /// shown.
  ObjectWatch(ApiClient& client, runtime::TaskGroup& group, const ObjectName& name, std::function<void(ObjectState)> told);

  /// Whether the first state is known.
  bool known() const { return reflector_.listed(); }
  /// Reflector::forbidden, Reflector::last_word, Reflector::counts.
  bool forbidden() const { return reflector_.forbidden(); }
  std::optional<TimePoint> last_word() const { return reflector_.last_word(); }
  const ReflectorCounts& counts() const { return reflector_.counts(); }

 private:
  void listed(std::vector<boost::json::object> objects) override;
  void changed(boost::json::object object) override;
  void removed(boost::json::object object) override;
  bool is_ours(const boost::json::object& object) const;
  void tell(ObjectState state);

  const std::string name_;
  const std::function<void(ObjectState)> told_;
  /// The version of the object that was told last, empty if it did not exist; nothing: none was told completely.
  std::optional<std::string> last_;
  Reflector reflector_;
};

}  // namespace router::kubernetes

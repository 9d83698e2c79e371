#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "router/discovery/cluster_state.h"
#include "router/kubernetes/api_client.h"
#include "router/kubernetes/group_version_resource.h"
#include "router/kubernetes/reflector.h"
#include "router/runtime/shard.h"
#include "router/runtime/task_group.h"

namespace router::serving {

/// One selection of objects of an API server, and its watch. The watcher outlives the reflector.
struct Followed {
  std::string namespace_name;  // empty: all namespaces
  discovery::ClusterState::Kind kind{};
  TimePoint since{};
  std::unique_ptr<kubernetes::Watcher> watcher;
  std::unique_ptr<kubernetes::Reflector> reflector;
};

/// Starts watches of one API server, for one ClusterState. All arguments of the constructor outlive what `follow` returns.
/// Control thread.
class Follower {
 public:
  static constexpr std::size_t kMax = 20'000;  // selections: each kind in each namespace, and each Secret followed by name

  Follower(runtime::Shard& control, kubernetes::ApiClient& client, runtime::TaskGroup& group, discovery::ClusterState& state)
      : control_(control), client_(client), group_(group), state_(state) {}

  /// An empty `label_selector` selects all objects.
  Followed follow(discovery::ClusterState::Scope scope, kubernetes::GroupVersionResource resource,
                  const std::string& label_selector);

 private:
  runtime::Shard& control_;
  kubernetes::ApiClient& client_;
  runtime::TaskGroup& group_;
  discovery::ClusterState& state_;
};

}  // namespace router::serving

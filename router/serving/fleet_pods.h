#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "router/dispatch/pod_slots.h"
#include "router/fleet/assignment.h"

namespace router::serving {

/// One pod of the deployments that this process serves.
struct FleetPod {
  std::string name_space;
  std::shared_ptr<dispatch::PodSlots> slots;
  std::uint32_t limit = 0;  // the smallest of its deployments' limits; 0: none has one
  bool operator==(const FleetPod&) const = default;
};

/// The pods of a process that is a member of a fleet: how many of their slots it may use, and how many of its connections they
/// have. A pod that is not served any more stays until its last connection is closed. Control thread.
class FleetPods {
 public:
  /// The pods by their ids, which are the same texts on every member.
  using Served = std::map<std::string, FleetPod>;

  /// Replaces what is served: the pods, and the namespaces of limited deployments, which have a home also while they have no
  /// pod. `number` names this call: rises with each. The slots of a pod that is new, or whose limit has changed, are withheld
  /// until an assignment that knows of it. Throws std::bad_alloc; repeat it then.
  void serve(const Served& served, std::set<std::string> limited, std::uint64_t number);
  /// Whether what is served differs from what `told` was called for.
  bool changed() const { return changed_; }
  void told() { changed_ = false; }
  /// What the fleet is told: every namespace with a limited deployment.
  std::vector<fleet::ServedNamespace> served() const;
  bool has_limit(const std::string& pod) const;

  /// Slots that this process may use, by pod; what is not named may not be used. `number`: the newest call of `serve` that the
  /// fleet knew of. Returns the pods of which no slot could be used before.
  std::set<std::string> allow(const std::map<std::string, std::uint32_t>& slots, std::uint64_t number);
  /// Withholds all slots until the next `allow`, so that idle connections are closed.
  void withhold_all();

  /// Connections of this process to pods of namespaces for which `counts` returns true, now. Of a pod without a limit only
  /// exchanges count: for the case that it gets one.
  struct Holdings {
    std::vector<fleet::PodHolding> limited;  // and of pods that are served no more
    std::vector<fleet::PodHolding> unlimited;
  };
  Holdings holdings(const std::function<bool(const std::string& name_space)>& counts) const;
  /// Forgets pods that are served no more and have no connection.
  void forget_ended();
  std::size_t size() const { return pods_.size(); }

 private:
  struct Known {
    FleetPod pod;
    bool served = true;
    std::uint64_t since = 0;  // the call of `serve` that brought it, or its limit
    std::size_t withheld = dispatch::PodSlots::kAll;
  };
  /// Returns whether this is the first slot that may be used.
  static bool withhold(Known& known, std::size_t slots);

  std::map<std::string, Known> pods_;
  bool changed_ = false;
  std::set<std::string> limited_;  // namespaces
};

}  // namespace router::serving

#pragma once

#include <boost/json/object.hpp>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "router/discovery/cluster.h"
#include "router/kubernetes/watcher.h"

namespace router::discovery {

/// Keeps a Cluster up to date with the API server. It reads each object once, when it arrives, and drops what the router does
/// not use. It records what has changed since the last `take_changes`. Control thread.
class ClusterState {
 public:
  enum class Kind { kEndpoints, kDeployments, kSlices, kPods, kSecrets };
  /// The objects that a watcher handles: those of one namespace, or all (empty); of Secrets only the one called `name`, if that
  /// is set, or those in `names`. It ignores other objects that it receives.
  using Names = std::shared_ptr<std::set<std::string>>;
  struct Scope {
    Kind kind = Kind::kEndpoints;
    std::string namespace_name;
    std::string name;
    Names names = nullptr;
  };
  /// What has changed, and so must be computed again.
  struct Changes {
    bool resources = false;                // an endpoint, a deployment or a key: join everything again
    std::set<ObjectKey> services;          // find the replicas of the deployments that name one of these Services again
    std::set<ObjectKey> pods;              // find the replicas of the deployments that adopt Pods of these label_keys again
    std::set<std::string> pod_namespaces;  // namespaces in which a Pod was added, was removed or got other addresses
    bool statuses = false;                 // only a status, or a Secret's version, on the API server
  };

  /// `changed` is called inside a watcher's call, once until the next `take_changes`. It must not call back into this. If it
  /// throws, it is called again with the next change.
  explicit ClusterState(std::function<void()> changed, std::size_t kept_bytes_max = 2 * config::NamespaceAmounts().max_bytes)
      : changed_(std::move(changed)), kept_bytes_max_(kept_bytes_max) {}
  ClusterState(const ClusterState&) = delete;
  ClusterState& operator=(const ClusterState&) = delete;
  ~ClusterState();

  /// A watcher for the objects of `scope`. Scopes of two watchers must not overlap. This outlives the watchers.
  std::unique_ptr<kubernetes::Watcher> watcher(Scope scope);
  /// Drops a Secret that is not followed any more.
  void forget_secret(const ObjectKey& key);

  const Cluster& cluster() const { return cluster_; }
  /// Whether versions were dropped in a namespace that may have room for them now, so that the resources must be listed again.
  /// Returns true once; then false until a namespace has more room.
  bool take_room();
  Changes take_changes();
  /// The kinds whose watcher still waits for its first list, for messages: `OnlineEndpoint`, `EndpointSlice`, …
  std::vector<std::string> not_listed() const;

 private:
  class Feed;
  using Json = boost::json::object;

  void put(Kind kind, const Json& object);
  void remove(Kind kind, const ObjectKey& key);
  std::vector<ObjectKey> known(const Scope& scope) const;
  template <class Document>
  void put_resource(std::map<ObjectKey, CustomResource<Document>>& all, const ObjectKey& key, const Json& object);
  template <class Document>
  bool remove_resource(std::map<ObjectKey, CustomResource<Document>>& all, const ObjectKey& key);
  void put_secret(const ObjectKey& key, const Json& object);
  /// Objects in groups: slices by Service, Pods by deployment. `changed` is the member of Changes that records the groups.
  template <class Object>
  struct Members {
    Cluster::Groups<Object>& groups;
    std::map<ObjectKey, ObjectKey>& group_of;
    std::set<ObjectKey> Changes::*changed;
  };
  Members<Slice> slices() { return {cluster_.services, service_of_, &Changes::services}; }
  Members<LabelledPod> pods() { return {cluster_.pods, label_key_of_, &Changes::pods}; }
  template <class Object>
  void put_member(Members<Object> members, const ObjectKey& key, const ObjectKey& group, Object next);
  void put_pod(const ObjectKey& key, const Json& object);
  void remove_pod(const ObjectKey& key);
  void put_addresses(const ObjectKey& key, const ObjectKey& by_uid, std::vector<std::string> addresses);
  template <class Object>
  void remove_member(Members<Object> members, const ObjectKey& key);
  void mark_resources();
  void mark_statuses();
  void mark_group(std::set<ObjectKey> Changes::*changed, const ObjectKey& group);
  void notify();

  /// What is kept of one namespace's resources.
  struct Held {
    std::size_t bytes = 0;
    bool dropped = false;  // some versions were not read
  };

  const std::function<void()> changed_;
  const std::size_t kept_bytes_max_;  // of the specs of both kinds in one namespace
  Cluster cluster_;
  std::map<std::string, Held> held_;
  bool room_ = false;
  std::map<ObjectKey, ObjectKey> service_of_;    // of each slice
  std::map<ObjectKey, ObjectKey> label_key_of_;  // of each Pod
  std::map<ObjectKey, ObjectKey> uid_of_;        // of each Pod, with its namespace
  Changes changes_;
  bool told_ = false;  // `changed_` was called since the last `take_changes`
  std::set<const Feed*> feeds_;
};

}  // namespace router::discovery

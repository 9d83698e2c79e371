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

/// Keeps a Cluster as the API server tells it: each object is read once, when it arrives, and what the router does not use is
/// dropped then. Remembers what has changed since it was last asked. Control thread.
class ClusterState {
 public:
  enum class Kind { kEndpoints, kDeployments, kSlices, kPods, kSecrets };
  /// Which objects a watcher is told of: one namespace's, or all (empty); of Secrets only one, by its name, or those of
  /// `names`, whatever else it is told.
  using Names = std::shared_ptr<std::set<std::string>>;
  struct Scope {
    Kind kind = Kind::kEndpoints;
    std::string namespace_name;
    std::string name;
    Names names = nullptr;
  };
  /// What has to be done again.
  struct Changes {
    bool resources = false;                // an endpoint, a deployment or a key: everything is joined again
    std::set<ObjectKey> services;          // only the replicas of the deployments that name one of these are told again
    std::set<ObjectKey> pods;              // likewise, of those that adopt Pods under one of these keys
    std::set<std::string> pod_namespaces;  // namespaces where a Pod has come, gone or got other addresses
    bool statuses = false;                 // only what the API server shows as the status of resources
  };

  /// `changed` is called inside the watcher's call, once for all until `take_changes`; it must not call back into this. If it
  /// throws it is called again with the next change.
  explicit ClusterState(std::function<void()> changed, std::size_t kept_bytes_max = 2 * config::NamespaceAmounts().max_bytes)
      : changed_(std::move(changed)), kept_bytes_max_(kept_bytes_max) {}
  ClusterState(const ClusterState&) = delete;
  ClusterState& operator=(const ClusterState&) = delete;
  ~ClusterState();

  /// To be fed by who follows that scope; two of them must not overlap. Ends before this does.
  std::unique_ptr<kubernetes::Watcher> watcher(Scope scope);
  /// A Secret that is followed no more.
  void forget_secret(const ObjectKey& key);

  const Cluster& cluster() const { return cluster_; }
  /// Whether versions were dropped in a namespace that would have room for some now: they have to be listed again. Asking
  /// forgets it until there is more room.
  bool take_room();
  Changes take_changes();
  /// Kinds of which a watcher waits for its first list, for messages: `OnlineEndpoint`, `EndpointSlice`, …
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
  /// An object that is one of a group: a slice, of its Service; a Pod, of its deployment. `changed`: what is noted.
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

  /// What one namespace's resources hold.
  struct Held {
    std::size_t bytes = 0;
    bool dropped = false;  // some were not read
  };

  const std::function<void()> changed_;
  const std::size_t kept_bytes_max_;  // in a namespace, of the specs of both kinds
  Cluster cluster_;
  std::map<std::string, Held> held_;
  bool room_ = false;
  std::map<ObjectKey, ObjectKey> service_of_;    // of each slice
  std::map<ObjectKey, ObjectKey> label_key_of_;  // of each Pod
  std::map<ObjectKey, ObjectKey> uid_of_;        // of each Pod, with its namespace
  Changes changes_;
  bool told_ = false;  // that there are some
  std::set<const Feed*> feeds_;
};

}  // namespace router::discovery

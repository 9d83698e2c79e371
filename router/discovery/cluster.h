#pragma once

#include <boost/json/object.hpp>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/azureml.h"
#include "config/config.h"
#include "router/base/text.h"

/// The objects of a Kubernetes cluster that the router uses: plain values, without sockets or threads. ClusterState updates
/// them; join_cluster, find_slice_replicas and find_pod_replicas interpret them.
namespace router::discovery {

/// Identifies one object of a kind by its namespace and name.
struct ObjectKey {
  std::string namespace_name;
  std::string name;
  auto operator<=>(const ObjectKey&) const = default;
};

/// One OnlineEndpoint or OnlineDeployment, with its last version that had no mistakes. A change with mistakes is refused, and
/// the version before it stays in force (contract, section 9), as long as it is the same object.
template <class Document>
struct CustomResource {
  std::string uid;
  std::int64_t generation = 0;   // of the newest version
  std::string created;           // in the API server's format, UTC in seconds, so that texts compare like times
  std::optional<Document> good;  // the last good version; nothing: there was none yet
  std::string refused;           // why the newest version is refused; empty: `good` is the newest version
  std::size_t bytes = 0;         // of the spec of the version that is kept
  bool dropped = false;          // the newest version was not read, because the namespace is far above its limit
  std::string version;           // `resourceVersion`; a change of the status changes it, too
  boost::json::object status;    // the API server's, with our fields and those of others
};

/// What the router takes from an EndpointSlice.
struct Slice {
  enum class Family { kIpv4, kIpv6, kOther };
  struct Port {
    std::string name;
    std::uint16_t number = 0;
    bool operator==(const Port&) const = default;
  };
  struct Target {  // `targetRef`
    std::string kind;
    std::string namespace_name;
    std::string uid;
    bool operator==(const Target&) const = default;
  };
  struct Endpoint {
    std::string address;  // the first one; Kubernetes gives no meaning to further ones
    bool ready = true;
    bool terminating = false;
    std::optional<Target> target;
    bool operator==(const Endpoint&) const = default;
  };

  std::string service;
  Family family = Family::kOther;
  bool by_kubernetes = false;  // written by the controller that follows the Service's selector
  std::vector<Port> ports;     // TCP only
  std::vector<Endpoint> endpoints;
  bool operator==(const Slice&) const = default;
};

/// What the router takes from a Pod that Azure ML's extension has labelled.
struct LabelledPod {
  std::string uid;
  std::vector<std::string> addresses;  // `podIPs`; empty: none yet
  bool ready = false;                  // the condition Ready is True
  bool terminating = false;            // it is being deleted
  bool ended = false;                  // its containers have ended for good: phase Succeeded or Failed
  bool on_host_network = false;        // its addresses are those of its node
  bool operator==(const LabelledPod&) const = default;
};

/// The key of a deployment's Pods by their labels, which are compared without case. Its name is `endpoint/deployment`.
inline ObjectKey label_key(const std::string& namespace_name, const std::string& endpoint, const std::string& deployment) {
  return {namespace_name, lower_case(endpoint) + "/" + lower_case(deployment)};  // a label has no slash
}

/// What the router takes from a Secret: `primaryKey` and `secondaryKey`, independently of each other. An invalid key
/// authenticates no request, and neither does the key that it has replaced: a change of a key must revoke the old one.
struct SecretKeys {
  std::vector<config::Secret> keys;
  std::string refused;       // what is wrong with a key; quotes nothing of it
  bool has_primary = false;  // the member exists, valid or not
  bool has_secondary = false;
  std::string version;              // `resourceVersion`
  std::vector<std::string> owners;  // uids of the OnlineEndpoints that own it
};

struct Cluster {
  using Endpoints = std::map<ObjectKey, CustomResource<config::EndpointDocument>>;
  using Deployments = std::map<ObjectKey, CustomResource<config::DeploymentDocument>>;
  template <class Object>
  using Groups = std::map<ObjectKey, std::map<std::string, Object>>;  // the objects of each non-empty group, by name

  Endpoints endpoints;
  Deployments deployments;
  Groups<Slice> services;                                       // of each Service
  Groups<LabelledPod> pods;                                     // of each deployment, by label_key
  std::map<ObjectKey, std::vector<std::string>> pod_addresses;  // of each followed Pod, by namespace and uid
  std::map<ObjectKey, SecretKeys> secrets;
};

}  // namespace router::discovery

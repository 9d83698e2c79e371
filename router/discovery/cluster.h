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

/// What is known of a Kubernetes cluster: plain values, without sockets or threads. Kept up to date by ClusterState, made sense
/// of by join_cluster and find_replicas.
namespace router::discovery {

/// Names one object of a kind: its namespace and its name in it.
struct ObjectKey {
  std::string namespace_name;
  std::string name;
  auto operator<=>(const ObjectKey&) const = default;
};

/// One OnlineEndpoint or OnlineDeployment, and the last of its versions that had no mistakes: a bad change is refused, and what
/// was before stays (contract, section 9), as long as it is the same object.
template <class Document>
struct CustomResource {
  std::string uid;
  std::int64_t generation = 0;   // of the newest version
  std::string created;           // as the API server writes it, always in UTC and to the second: earlier ones are less
  std::optional<Document> good;  // the last good version; none: there was none yet
  std::string refused;           // why the newest version is not it; empty: it is
  std::size_t bytes = 0;         // of the spec of the version that is kept
  bool dropped = false;          // the newest version was not read: the namespace has far more than it may
  std::string version;           // `resourceVersion`, which its status counts up, too
  boost::json::object status;    // as the API server has it; ours and what others have written
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
    std::string address;  // the first one: Kubernetes gives no meaning to others
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
  bool ready = false;                  // its condition says so
  bool terminating = false;            // it is being deleted
  bool ended = false;                  // its containers have, for good: phase Succeeded or Failed
  bool on_host_network = false;        // its addresses are those of its node
  bool operator==(const LabelledPod&) const = default;
};

/// The Pods of a namespace by what their labels say, compared without case: a name is an endpoint's and a deployment's.
inline ObjectKey label_key(const std::string& namespace_name, const std::string& endpoint, const std::string& deployment) {
  return {namespace_name, lower_case(endpoint) + "/" + lower_case(deployment)};  // a label has no slash
}

/// What the router takes from a Secret: `primaryKey` and `secondaryKey`, each for itself. A bad one opens nothing, and neither
/// does the one that it has replaced: whoever changes a key wants the old one to end.
struct SecretKeys {
  std::vector<config::Secret> keys;
  std::string refused;       // what is wrong with a key, without showing any of it
  bool has_primary = false;  // whatever it is
  bool has_secondary = false;
  std::string version;              // `resourceVersion`
  std::vector<std::string> owners;  // uids of the OnlineEndpoints that own it
};

struct Cluster {
  using Endpoints = std::map<ObjectKey, CustomResource<config::EndpointDocument>>;
  using Deployments = std::map<ObjectKey, CustomResource<config::DeploymentDocument>>;
  template <class Object>
  using Groups = std::map<ObjectKey, std::map<std::string, Object>>;  // the objects by name, of each group that has any

  Endpoints endpoints;
  Deployments deployments;
  Groups<Slice> services;                                       // of each Service
  Groups<LabelledPod> pods;                                     // of each deployment, by label_key
  std::map<ObjectKey, std::vector<std::string>> pod_addresses;  // of each Pod that is followed, by namespace and uid
  std::map<ObjectKey, SecretKeys> secrets;
};

}  // namespace router::discovery

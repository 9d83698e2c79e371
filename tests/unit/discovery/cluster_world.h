#pragma once

#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>

#include <boost/json.hpp>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "config/resource.h"
#include "router/discovery/cluster_join.h"
#include "router/discovery/cluster_state.h"
#include "router/discovery/pod_replicas.h"
#include "router/discovery/slice_replicas.h"

namespace router::discovery {

namespace json = boost::json;

/// Metadata of an object as an API server sends it.
inline json::object metadata(const std::string& namespace_name, const std::string& name, const std::string& uid,
                             const std::string& created = "2025-01-01T00:00:00Z", int generation = 1) {
  return {
      {"namespace", namespace_name}, {"name", name}, {"uid", uid}, {"creationTimestamp", created}, {"generation", generation}};
}

struct EndpointSpec {
  std::string name = "iris";
  std::string namespace_name = "team-a";
  std::string created = "2025-01-01T00:00:00Z";
  std::map<std::string, int> traffic = {};
  std::vector<std::string> hostnames = {};
  std::string auth_mode = "key";
  int generation = 1;
  std::string uid = "";

  json::object object() const {
    json::object shares;
    for (const auto& [deployment, percent] : traffic) shares[deployment] = percent;
    json::object spec{{"auth_mode", auth_mode}};
    if (!shares.empty()) spec["traffic"] = shares;
    if (!hostnames.empty()) spec["router"] = {{"hostnames", json::value_from(hostnames)}};
    return {{"metadata", metadata(namespace_name, name, uid.empty() ? namespace_name + "-" + name : uid, created, generation)},
            {"spec", spec}};
  }
};

struct DeploymentSpec {
  std::string name = "blue";
  std::string endpoint = "iris";
  std::string namespace_name = "team-a";
  std::string created = "2025-01-01T00:00:00Z";
  std::string object_name = "";  // default: endpoint-name
  std::string port = "";
  int generation = 1;
  int slots = 1;
  bool adopts = false;  // adopts Pods that Azure ML has labelled

  json::object object() const {
    const std::string resource = object_name.empty() ? endpoint + "-" + name : object_name;
    json::object spec{
        {"name", name}, {"endpoint_name", endpoint}, {"request_settings", {{"max_concurrent_requests_per_instance", slots}}}};
    if (adopts) spec["router"] = {{"adoptAzureMLPods", true}};
    if (!port.empty()) spec["router"] = {{"service", {{"port", port}}}};
    return {{"metadata", metadata(namespace_name, resource, namespace_name + "-" + resource, created, generation)},
            {"spec", spec}};
  }
};

struct Pod {
  std::string address;
  std::string uid = "uid";
  std::string namespace_name = "team-a";
  json::object conditions = {};
  std::string kind = "Pod";  // empty: no targetRef

  json::object object() const {
    json::object endpoint{{"addresses", {address}}, {"conditions", conditions}};
    if (!kind.empty()) {
      json::object target{{"kind", kind}, {"name", "pod"}, {"uid", uid}};
      if (!namespace_name.empty()) target["namespace"] = namespace_name;
      endpoint["targetRef"] = target;
    }
    return endpoint;
  }
};

/// A Pod itself, with the labels of Azure ML's extension.
struct PodSpec {
  std::string name = "pod-1";
  std::string uid = "one";
  std::vector<std::string> addresses = {"10.0.0.1"};
  std::string ready = "True";  // status of the condition; empty: no such condition
  bool terminating = false;
  std::string namespace_name = "team-a";
  std::string endpoint = "iris";
  std::string deployment = "blue";
  std::string phase = "Running";
  bool on_host_network = false;

  json::object object() const {
    json::object about = metadata(namespace_name, name, uid);
    about["labels"] = {{"ml.azure.com/endpoint-name", endpoint}, {"ml.azure.com/deployment-name", deployment}};
    if (terminating) about["deletionTimestamp"] = "2025-01-01T00:01:00Z";
    json::array ips;
    for (const std::string& each : addresses) ips.push_back(json::object{{"ip", each}});
    json::array conditions{json::object{{"type", "PodScheduled"}, {"status", "True"}}};
    if (!ready.empty()) conditions.push_back(json::object{{"type", "Ready"}, {"status", ready}});
    json::object spec;
    if (on_host_network) spec["hostNetwork"] = true;
    return {{"metadata", about}, {"spec", spec}, {"status", {{"phase", phase}, {"conditions", conditions}, {"podIPs", ips}}}};
  }
};

struct SliceSpec {
  std::vector<Pod> pods = {};
  std::string name = "iris-blue-x";
  std::string service = "iris-blue";
  std::string namespace_name = "team-a";
  std::string address_type = "IPv4";
  std::string managed_by = "endpointslice-controller.k8s.io";
  json::array ports = {{{"name", ""}, {"port", 5001}, {"protocol", "TCP"}}};

  json::object object() const {
    json::object labels{{"kubernetes.io/service-name", service}};
    if (!managed_by.empty()) labels["endpointslice.kubernetes.io/managed-by"] = managed_by;
    json::object about = metadata(namespace_name, name, namespace_name + "-" + name);
    about["labels"] = labels;
    json::array endpoints;
    for (const Pod& pod : pods) endpoints.push_back(pod.object());
    return {{"metadata", about}, {"addressType", address_type}, {"endpoints", endpoints}, {"ports", ports}};
  }
};

inline json::object secret(const std::map<std::string, std::string>& keys, const std::string& name = "iris-keys",
                           const std::string& namespace_name = "team-a") {
  json::object data;
  for (const auto& [key, value] : keys) data[key] = absl::Base64Escape(value);
  return {{"metadata", metadata(namespace_name, name, namespace_name + "-" + name)}, {"data", data}, {"type", "Opaque"}};
}

/// A ClusterState with a watcher for each kind of object, in all namespaces.
struct World {
  ClusterState state{[this] { ++told; }};
  int told = 0;
  std::unique_ptr<kubernetes::Watcher> endpoints = state.watcher({ClusterState::Kind::kEndpoints, "", ""});
  std::unique_ptr<kubernetes::Watcher> deployments = state.watcher({ClusterState::Kind::kDeployments, "", ""});
  std::unique_ptr<kubernetes::Watcher> slices = state.watcher({ClusterState::Kind::kSlices, "", ""});
  std::unique_ptr<kubernetes::Watcher> pods = state.watcher({ClusterState::Kind::kPods, "", ""});
  std::unique_ptr<kubernetes::Watcher> secrets = state.watcher({ClusterState::Kind::kSecrets, "", ""});
  config::Kubernetes rules;
  TakenNames taken;
  Avoided avoided;

  World& add_endpoint(const EndpointSpec& spec) {
    endpoints->changed(spec.object());
    return *this;
  }
  World& add_deployment(const DeploymentSpec& spec) {
    deployments->changed(spec.object());
    return *this;
  }
  World& add_slice(const SliceSpec& spec) {
    slices->changed(spec.object());
    return *this;
  }
  World& add_pod(const PodSpec& spec) {
    pods->changed(spec.object());
    return *this;
  }
  World& add_secret(const json::object& object) {
    secrets->changed(object);
    return *this;
  }

  Joined join() const { return join_cluster(state.cluster(), rules, "router-namespace_name", taken); }
  /// The replicas of iris/blue in team-a, behind its Service.
  FoundReplicas replicas(const std::string& port = "") const {
    config::Findings findings;
    DeploymentSpec spec;
    spec.port = port;
    return find_slice_replicas(state.cluster(), rules, avoided,
                               config::read_deployment_resource(spec.object(), findings).deployment);
  }
  /// The replicas that iris/blue would adopt.
  FoundReplicas adopted(const DeploymentSpec& spec = {.adopts = true}) const {
    config::Findings findings;
    return find_pod_replicas(state.cluster(), rules, avoided,
                             config::read_deployment_resource(spec.object(), findings).deployment);
  }
};

/// Whether anything has changed.
inline bool any(const ClusterState::Changes& changes) {
  return changes.resources || changes.statuses || !changes.services.empty() || !changes.pods.empty();
}

/// Replicas as texts: identity@address and `+` for ready, `-` for not ready, `x` for terminating.
inline std::vector<std::string> texts(const FoundReplicas& found) {
  std::vector<std::string> all;
  for (const FoundReplica& each : found.replicas) {
    all.push_back(absl::StrCat(each.identity, "@", each.address.text(), each.terminating ? "x" : *each.ready ? "+" : "-"));
  }
  return all;
}
using Texts = std::vector<std::string>;

/// `reason: message` of one resource's result. That of an accepted resource begins with `ok `.
inline std::string result_of(const Joined& joined, const std::string& namespace_name, const std::string& name) {
  for (const ReconcileResult& each : joined.results) {
    if (each.namespace_name != namespace_name || each.name != name) continue;
    return absl::StrCat(each.accepted ? "ok " : "", each.reason, each.message.empty() ? "" : ": ", each.message);
  }
  return "no result";
}

/// Endpoints as one text: namespace/name [traffic] {deployments} keys.
inline std::string text_of(const Joined& joined) {
  std::string text;
  for (const config::Endpoint& endpoint : joined.endpoints) {
    absl::StrAppend(&text, endpoint.namespace_name, "/", endpoint.name, " [");
    for (const auto& [name, percent] : endpoint.traffic) absl::StrAppend(&text, name, "=", percent, " ");
    absl::StrAppend(&text, "] {");
    for (const config::Deployment& each : endpoint.deployments) absl::StrAppend(&text, each.endpoint_name, "/", each.name, " ");
    absl::StrAppend(&text, "} ", endpoint.keys.size(), " keys\n");
  }
  return text;
}

inline const std::string kOld = "2024-01-01T00:00:00Z";
inline const std::string kNew = "2025-06-01T00:00:00Z";

inline json::object keys_of_iris() { return secret({{"primaryKey", "one"}, {"secondaryKey", "two\n"}}); }

}  // namespace router::discovery

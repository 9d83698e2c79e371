#include "router/discovery/read_objects.h"

#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <utility>

#include "config/keys.h"

namespace router::discovery {
namespace {

namespace json = boost::json;

constexpr std::string_view kServiceName = "kubernetes.io/service-name";
constexpr std::string_view kManagedBy = "endpointslice.kubernetes.io/managed-by";
constexpr std::string_view kController = "endpointslice-controller.k8s.io";

const json::object& object_at(const json::object& object, std::string_view key) {
  static const json::object empty;
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_object() ? value->get_object() : empty;
}

const json::array& array_at(const json::object& object, std::string_view key) {
  static const json::array empty;
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_array() ? value->get_array() : empty;
}

std::string_view text_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string_view(value->get_string()) : std::string_view();
}

bool bool_at(const json::object& object, std::string_view key, bool otherwise) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_bool() ? value->get_bool() : otherwise;
}

std::int64_t number_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_int64() ? value->get_int64() : 0;
}

Slice::Family family_of(std::string_view address_type) {
  if (address_type == "IPv4") return Slice::Family::kIpv4;
  if (address_type == "IPv6") return Slice::Family::kIpv6;
  return Slice::Family::kOther;
}

void read_port(const json::object& port, Slice& slice) {
  const std::int64_t number = number_at(port, "port");
  const std::string_view protocol = text_at(port, "protocol");
  if (number < 1 || number > 65535 || (!protocol.empty() && protocol != "TCP")) return;
  slice.ports.push_back({std::string(text_at(port, "name")), static_cast<std::uint16_t>(number)});
}

void read_endpoint(const json::object& from, Slice& slice) {
  const json::array& addresses = array_at(from, "addresses");
  if (addresses.empty() || !addresses.front().is_string()) return;
  Slice::Endpoint endpoint;
  endpoint.address = std::string(addresses.front().get_string());
  const json::object& conditions = object_at(from, "conditions");
  endpoint.ready = bool_at(conditions, "ready", true);
  endpoint.terminating = bool_at(conditions, "terminating", false);
  if (const json::object& target = object_at(from, "targetRef"); !target.empty()) {
    endpoint.target = Slice::Target{std::string(text_at(target, "kind")), std::string(text_at(target, "namespace")),
                                    std::string(text_at(target, "uid"))};
  }
  slice.endpoints.push_back(std::move(endpoint));
}

const json::object& labels_of(const json::object& object) { return object_at(object_at(object, "metadata"), "labels"); }

bool is_ready(const json::object& pod_status) {
  for (const json::value& each : array_at(pod_status, "conditions")) {
    if (!each.is_object() || text_at(each.get_object(), "type") != "Ready") continue;
    return text_at(each.get_object(), "status") == "True";
  }
  return false;
}

std::vector<std::string> addresses_of(const json::object& pod_status) {
  std::vector<std::string> addresses;
  for (const json::value& each : array_at(pod_status, "podIPs")) {
    if (each.is_object()) addresses.emplace_back(text_at(each.get_object(), "ip"));
  }
  return addresses;
}

void read_key(const json::object& data, const char* name, config::KeyName which, SecretKeys& into) {
  const json::value* value = data.if_contains(name);
  if (value == nullptr) return;
  std::string key;
  const bool decoded = value->is_string() &&
                       absl::Base64Unescape(absl::string_view(value->get_string().data(), value->get_string().size()), &key);
  const char* mistake = decoded ? config::mistake_in_key(key) : "is not base64";
  if (mistake == nullptr) {
    into.keys.push_back({std::move(key), which});
  } else {
    absl::StrAppend(&into.refused, into.refused.empty() ? "" : "; ", "its `", name, "` ", mistake);
  }
}

/// The uids of those owners that are OnlineEndpoints.
std::vector<std::string> read_owners(const json::object& metadata) {
  std::vector<std::string> owners;
  for (const json::value& each : array_at(metadata, "ownerReferences")) {
    if (!each.is_object()) continue;
    const json::object& owner = each.get_object();
    const bool is_endpoint =
        text_at(owner, "kind") == "OnlineEndpoint" && text_at(owner, "apiVersion").starts_with("inference-router.dev/");
    if (is_endpoint) owners.emplace_back(text_at(owner, "uid"));
  }
  return owners;
}

}  // namespace

ObjectKey key_of(const json::object& object) { return {metadata_text(object, "namespace"), metadata_text(object, "name")}; }

std::string metadata_text(const json::object& object, std::string_view key) {
  return std::string(text_at(object_at(object, "metadata"), key));
}

std::int64_t metadata_number(const json::object& object, std::string_view key) {
  return number_at(object_at(object, "metadata"), key);
}

json::object read_status(const json::object& object) { return object_at(object, "status"); }

Slice read_slice(const json::object& object) {
  Slice slice;
  const json::object& labels = labels_of(object);
  slice.service = std::string(text_at(labels, kServiceName));
  slice.by_kubernetes = text_at(labels, kManagedBy) == kController;
  slice.family = family_of(text_at(object, "addressType"));
  for (const json::value& port : array_at(object, "ports")) {
    if (port.is_object()) read_port(port.get_object(), slice);
  }
  for (const json::value& endpoint : array_at(object, "endpoints")) {
    if (endpoint.is_object()) read_endpoint(endpoint.get_object(), slice);
  }
  return slice;
}

LabelledPod read_pod(const json::object& object) {
  const json::object& status = object_at(object, "status");
  const std::string_view phase = text_at(status, "phase");
  LabelledPod pod;
  pod.uid = metadata_text(object, "uid");
  pod.addresses = addresses_of(status);
  pod.ready = is_ready(status);
  pod.terminating = object_at(object, "metadata").contains("deletionTimestamp");
  pod.ended = phase == "Succeeded" || phase == "Failed";
  pod.on_host_network = bool_at(object_at(object, "spec"), "hostNetwork", false);
  return pod;
}

ObjectKey read_label_key(const json::object& pod) {
  const json::object& labels = labels_of(pod);
  return label_key(metadata_text(pod, "namespace"), std::string(text_at(labels, kEndpointLabel)),
                   std::string(text_at(labels, kDeploymentLabel)));
}

SecretKeys read_secret(const json::object& object) {
  SecretKeys secret;
  const json::object& data = object_at(object, "data");
  read_key(data, "primaryKey", config::KeyName::kPrimary, secret);
  read_key(data, "secondaryKey", config::KeyName::kSecondary, secret);
  secret.has_primary = data.contains("primaryKey");
  secret.has_secondary = data.contains("secondaryKey");
  secret.version = metadata_text(object, "resourceVersion");
  secret.owners = read_owners(object_at(object, "metadata"));
  return secret;
}

}  // namespace router::discovery

#include <algorithm>
#include <set>

#include "config/addresses.h"
#include "config/router_yaml.h"

namespace router::config {
namespace {

constexpr std::size_t kPrefixMax = 31;     // an endpoint's name has at most 32 characters
constexpr std::size_t kIdentityMax = 253;  // of a Lease's holder; a host name fits

bool is_host_pattern(std::string_view text) { return is_host_name(text.starts_with("*.") ? text.substr(2) : text); }

bool is_prefix(std::string_view text) {
  const auto is_letter = [](char c) { return c >= 'a' && c <= 'z'; };
  const auto is_allowed = [is_letter](char c) { return is_letter(c) || (c >= '0' && c <= '9') || c == '-'; };
  return !text.empty() && text.size() <= kPrefixMax && is_letter(text.front()) &&
         std::all_of(text.begin(), text.end(), is_allowed);
}

bool is_identity(std::string_view text) {
  return !text.empty() && text.size() <= kIdentityMax &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

/// `http://` or `https://`, a host, and optionally a port. Nothing may follow, because paths are appended.
bool is_base_url(std::string_view text) {
  for (const std::string_view scheme : {"https://", "http://"}) {
    if (!text.starts_with(scheme)) continue;
    const std::optional<HostAndPort> address = parse_host_and_port(text.substr(scheme.size()));
    return address && address->port != 0;
  }
  return false;
}

constexpr const char* kNamespaceName =
    "the name of a namespace: up to 63 lower-case letters, digits and dashes, no dash first or last";

void read_host_patterns(MapReader& map, NamespaceRules& into) {
  if (map.has("hostnames")) into.hostnames.emplace();  // an empty list allows no host name
  for (const MapReader::Item& item : map.texts("hostnames")) {
    if (!is_host_pattern(item.text)) {
      map.findings().mistake(item.location, shown(item.text) + " is neither a host name nor *. with a host name after it");
    }
    into.hostnames.value().push_back(lower_case(item.text));
  }
}

NamespaceRules read_namespace(MapReader& map) {
  NamespaceRules rules;
  rules.name = map.required_text("name");
  if (!rules.name.empty() && !is_dns_label(rules.name)) {
    map.mistake("name", shown(rules.name) + " is not " + std::string(kNamespaceName));
  }
  read_host_patterns(map, rules);
  if (const auto prefix = map.text("prefix")) {
    rules.prefix = lower_case(*prefix);
    if (!is_prefix(rules.prefix)) {
      map.mistake(
          "prefix",
          shown(*prefix) + " is not how a name of an endpoint begins: up to 31 letters, digits and dashes, a letter first");
    }
  }
  map.finish();
  return rules;
}

void read_namespaces(MapReader& map, Kubernetes& into) {
  const std::size_t mistakes_before = map.findings().count();
  std::set<std::string> seen;
  for (MapReader& each : map.maps("namespaces")) {
    into.namespaces.push_back(read_namespace(each));
    const std::string& name = into.namespaces.back().name;
    if (!name.empty() && !seen.insert(name).second) each.mistake("name", shown(name) + " is given twice");
  }
  if (map.has("namespaces") && into.namespaces.empty() && map.findings().count() == mistakes_before) {
    map.mistake("namespaces", "at least one is expected; leave the key out for all namespaces");
  }
}

void read_credentials(MapReader& map, Kubernetes& into) {
  map.read_path("kubeconfig", into.kubeconfig);
  map.read_path("service_account_folder", into.service_account_folder);
  if (map.has("kubeconfig") && map.has("service_account_folder")) {
    map.mistake("service_account_folder", "cannot stand beside kubeconfig, which names address and credentials itself");
  }
}

void read_amounts(MapReader& map, NamespaceAmounts& into) {
  std::optional<MapReader> amounts = map.map("per_namespace");
  if (!amounts) return;
  amounts->read("max_endpoints", {1, 1'000'000}, into.max_endpoints);
  amounts->read("max_deployments", {1, 1'000'000}, into.max_deployments);
  amounts->read("max_secrets", {1, 1'000'000}, into.max_secrets);
  amounts->read("max_bytes", {1024, 1'000'000'000'000, "bytes"}, into.max_bytes);
  amounts->finish();
}

void read_public_names(MapReader& map, Kubernetes& into) {
  read_checked(map, "public_url", is_base_url, "https://host or http://host, with :port or without, and nothing after it",
               into.public_url);
  read_checked(map, "ssl_cname", is_host_name, "a host name, such as models.example.com", into.ssl_cname);
  read_checked(map, "service_name", is_dns_label, "the name of a Service", into.service_name);
}

void read_election(MapReader& map, Kubernetes& into) {
  if (std::optional<MapReader> lease = map.map("lease")) {
    read_checked(*lease, "name", is_dns_subdomain, "the name of a Lease", into.lease_name);
    read_checked(*lease, "namespace", is_dns_label, kNamespaceName, into.lease_namespace);
    lease->finish();
  }
  read_checked(map, "identity", is_identity, "up to 253 visible ASCII characters without spaces", into.identity);
}

}  // namespace

std::optional<Kubernetes> read_kubernetes(MapReader& document) {
  std::optional<MapReader> map = document.map("kubernetes");
  if (!map) return std::nullopt;
  Kubernetes kubernetes;
  kubernetes.location = document.location("kubernetes");
  read_credentials(*map, kubernetes);
  read_namespaces(*map, kubernetes);
  map->read("allow_custom_endpoint_slices", kubernetes.allow_custom_endpoint_slices);
  map->read("adopt_azureml_pods", kubernetes.adopt_azureml_pods);
  map->read("check_pod_addresses", kubernetes.check_pod_addresses);
  map->read("create_keys", kubernetes.create_keys);
  read_amounts(*map, kubernetes.per_namespace);
  read_public_names(*map, kubernetes);
  read_election(*map, kubernetes);
  map->finish();
  return kubernetes;
}

}  // namespace router::config

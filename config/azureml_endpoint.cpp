#include <set>

#include "config/addresses.h"
#include "config/azureml.h"
#include "config/overlay.h"

namespace router::config {
namespace {

void read_auth_mode(MapReader& document, EndpointDocument& into) {
  into.auth_mode = document.location("auth_mode");
  switch (document.word("auth_mode", {"key", "aml_token", "aad_token", "AMLToken", "AADToken"}).value_or(0)) {
    case 1:
    case 3: into.endpoint.auth_mode = AuthMode::kAmlToken; break;
    case 2:
    case 4: into.endpoint.auth_mode = AuthMode::kAadToken; break;
    default: into.endpoint.auth_mode = AuthMode::kKey;
  }
}

/// Reads `{name: percent}`. Names are compared without case.
std::vector<Share> read_shares(MapReader& document, const std::string& key, int most) {
  std::vector<Share> shares;
  std::optional<MapReader> map = document.map(key);
  if (!map) return shares;
  std::set<std::string> seen;
  for (const std::string& name : map->names()) {
    const std::optional<std::int64_t> percent = map->integer(name, {0, most, "percent"});
    if (!seen.insert(lower_case(name)).second) map->mistake(name, "this deployment is given twice (case does not count)");
    shares.push_back({name, static_cast<int>(percent.value_or(0)), map->location(name)});
  }
  return shares;
}

void read_traffic(MapReader& document, EndpointDocument& into) {
  const std::size_t mistakes_before = document.findings().count();
  into.traffic_location = document.location("traffic");
  into.traffic = read_shares(document, "traffic", 100);
  const bool readable = document.findings().count() == mistakes_before;
  int sum = 0;
  for (const Share& share : into.traffic) sum += share.percent;
  if (readable && sum != 0 && sum != 100) {
    document.mistake("traffic", "the percentages sum to " + std::to_string(sum) + "; they must sum to 0 or 100");
  }
  into.mirror_traffic = read_shares(document, "mirror_traffic", 50);
  if (into.mirror_traffic.size() > 1) {
    document.mistake("mirror_traffic", std::to_string(into.mirror_traffic.size()) + " deployments; one at most");
  }
}

void read_hostnames(MapReader& router, EndpointDocument& into) {
  for (MapReader::Item& item : router.texts("hostnames")) {
    if (!is_host_name(item.text)) {
      router.findings().mistake(item.location, shown(item.text) +
                                                   " is not a host name, such as models.example.com: no port, "
                                                   "no wildcard, no dot at the end");
      continue;
    }
    into.endpoint.hostnames.push_back(lower_case(item.text));
    into.hostnames.push_back(std::move(item.location));
  }
}

void read_key_files(MapReader& keys, EndpointDocument& into) {
  into.primary_key_file = keys.location("primary_file");
  into.secondary_key_file = keys.location("secondary_file");
  keys.read_path("primary_file", into.endpoint.primary_key_file);
  keys.read_path("secondary_file", into.endpoint.secondary_key_file);
  keys.refuse("secretName", "names a Secret for a Kubernetes resource; in a file, primary_file and secondary_file name files");
}

void read_keys_secret(MapReader& keys, EndpointDocument& into) {
  into.keys_secret = keys.location("secretName");
  if (const auto name = keys.text("secretName")) {
    into.endpoint.keys_secret = *name;
    if (!is_dns_subdomain(*name)) keys.mistake("secretName", shown(*name) + " is not the name of a Secret");
  }
  for (const char* key : {"primary_file", "secondary_file"}) {
    keys.refuse(key, "names a file of the router's own; in a resource, secretName names the Secret that holds the keys");
  }
}

void read_extension(MapReader& document, EndpointDocument& into) {
  std::optional<MapReader> router = document.map("router");
  if (!router) return;
  read_hostnames(*router, into);
  if (std::optional<MapReader> keys = router->map("keys")) {
    document.is_resource() ? read_keys_secret(*keys, into) : read_key_files(*keys, into);
    keys->finish();
  }
  if (const auto profile = router->word("status_profile", {"kubernetes", "managed"})) {
    into.endpoint.status_profile = *profile == 1 ? StatusProfile::kManaged : StatusProfile::kKubernetes;
  }
  router->read("forward_authorization", into.endpoint.forward_authorization);
  router->finish(kOverlayKeysOfEndpoint);
}

void check_identity(MapReader& document, std::vector<std::string>& ignored) {
  std::optional<MapReader> identity = document.map("identity");
  if (!identity) return;
  identity->word("type", {"system_assigned", "user_assigned", "none", "SystemAssigned", "UserAssigned"});
  identity->ignore({"principal_id", "tenant_id", "user_assigned_identities"});
  identity->finish();
  ignored.emplace_back("identity");
}

}  // namespace

EndpointDocument read_endpoint(MapReader document) {
  document.describes(Described::kEndpoint);
  EndpointDocument into;
  Endpoint& endpoint = into.endpoint;
  endpoint.file = document.file();
  endpoint.line = document.location().line;
  const bool named_elsewhere = document.is_resource() && !document.has("name");  // a resource has the name in its metadata
  if (named_elsewhere) document.ignore({"name"});
  if (!named_elsewhere) endpoint.name = read_name(document, "name");
  into.name = document.location("name");
  read_auth_mode(document, into);
  read_traffic(document, into);
  document.text_map("tags");
  check_identity(document, endpoint.ignored_keys);
  document.word("public_network_access", {"enabled", "disabled"});
  document.ignore({"$schema", "id", "description", "tags", "properties", "compute", "public_network_access", "kind", "type",
                   "location", "scoring_uri", "openapi_uri", "provisioning_state", "resourceGroup"},
                  endpoint.ignored_keys);
  for (const char* key : kOverlayKeys) {
    document.refuse(key, "is a key of overlays, whose files have names that end in .overlay.yml or .overlay.yaml");
  }
  read_extension(document, into);
  document.finish();
  return into;
}

}  // namespace router::config

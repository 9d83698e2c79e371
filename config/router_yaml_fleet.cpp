#include <algorithm>
#include <set>

#include "config/addresses.h"
#include "config/router_yaml.h"

namespace router::config {
namespace {

constexpr std::size_t kPeersMax = 64;    // members of a fleet
constexpr std::size_t kPodUidMax = 128;  // a uid of Kubernetes has 36 characters

/// An IP address and a port: members dial it without asking a name server, which may be away when they need it.
bool is_address_with_port(const std::string& text) {
  const std::optional<HostAndPort> address = parse_host_and_port(text);
  return address && is_ip_address(address->host) && address->port.value_or(0) != 0;
}

constexpr const char* kAddress = " is not an IP address with a port, such as 10.0.0.1:9903";

/// `0.0.0.0` and `::` stand for every address of a machine: another member cannot dial them.
bool is_unspecified(const std::string& text) {
  const std::string host = parse_host_and_port(text)->host;
  return host.find_first_not_of("0.:") == std::string::npos;
}

void read_addresses(MapReader& map, Fleet& into) {
  if (const auto listen = map.text("listen")) into.listen = *listen;
  if (!is_address_with_port(into.listen)) map.mistake("listen", shown(into.listen) + kAddress);
  into.advertise = map.required_text("advertise");
  if (into.advertise.empty()) return;
  if (!is_address_with_port(into.advertise)) {
    map.mistake("advertise", shown(into.advertise) + kAddress);
  } else if (is_unspecified(into.advertise)) {
    map.mistake("advertise",
                shown(into.advertise) + " cannot be dialled by another router; expected this machine's own address");
  }
}

void read_peers(MapReader& map, Fleet& into) {
  std::set<std::string> seen;
  for (const MapReader::Item& item : map.texts("peers")) {
    if (!is_address_with_port(item.text)) {
      map.findings().mistake(item.location, shown(item.text) + kAddress);
    } else if (!seen.insert(item.text).second) {
      map.findings().mistake(item.location, shown(item.text) + " is given twice");
    }
    into.peers.push_back(item.text);
  }
  if (into.peers.size() > kPeersMax) map.mistake("peers", "are too many; a fleet has at most 64 members");
  if (!into.peers.empty() && !seen.contains(into.advertise)) {
    map.mistake("peers", "lack this router's own address, " + shown(into.advertise) +
                             ": the list is the same for every router of the fleet");
  }
}

void read_names(MapReader& map, Fleet& into) {
  if (const auto lease = map.text("lease")) into.lease_name = *lease;
  if (!is_dns_subdomain(into.lease_name)) map.mistake("lease", shown(into.lease_name) + " is not the name of a Lease");
  if (const auto secret = map.text("secret")) into.secret_name = *secret;
  if (!is_dns_subdomain(into.secret_name)) map.mistake("secret", shown(into.secret_name) + " is not the name of a Secret");
  if (const auto uid = map.text("pod_uid")) into.pod_uid = *uid;
  const bool is_uid = into.pod_uid.size() <= kPodUidMax &&
                      std::all_of(into.pod_uid.begin(), into.pod_uid.end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (!is_uid) map.mistake("pod_uid", shown(into.pod_uid) + " is not the uid of a Pod");
}

/// Without Kubernetes the members stand in `peers` and the key in a file. With it they stand in a Lease and a Secret.
void check_source(MapReader& map, const Fleet& fleet, bool with_kubernetes) {
  if (with_kubernetes) {
    if (map.has("peers")) map.mistake("peers", "cannot stand beside kubernetes: the members stand in the Lease");
    if (map.has("key_file")) map.mistake("key_file", "cannot stand beside kubernetes: the key stands in the Secret");
    return;
  }
  if (fleet.peers.empty())
    map.mistake("peers", "at least this router's own address is expected; with kubernetes, leave the key out");
  if (fleet.key_file.empty()) map.mistake("key_file", "a file with the key of the fleet is expected: a line of 64 hex digits");
  for (const char* key : {"lease", "secret", "pod_uid", "take_after_s"}) {
    if (map.has(key)) map.mistake(key, "needs the section kubernetes");
  }
}

}  // namespace

std::optional<Fleet> read_fleet(MapReader& document, bool with_kubernetes) {
  std::optional<MapReader> map = document.map("fleet");
  if (!map) return std::nullopt;
  Fleet fleet;
  fleet.location = document.location("fleet");
  read_addresses(*map, fleet);
  read_peers(*map, fleet);
  map->read_path("key_file", fleet.key_file);
  read_names(*map, fleet);
  map->read("take_after_s", {30, 3600, "s"}, fleet.take_after);
  check_source(*map, fleet, with_kubernetes);
  map->read("running_grace_s", {1, 30, "s"}, fleet.running_grace);
  map->read("trust_refused", fleet.trust_refused);
  map->finish();
  return fleet;
}

}  // namespace router::config

#include "router/discovery/pod_address.h"

#include <absl/strings/str_cat.h>
#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "config/findings.h"

namespace router::discovery {
namespace {

bool may_be_a_pod(std::uint32_t ipv4) {
  const std::uint32_t first = ipv4 >> 24;
  const bool link_local = (ipv4 >> 16) == 0xA9FE;
  return first != 0 && first != 127 && first < 224 && !link_local;
}

/// Whether the EndpointSlice that the API server writes about itself contains the address. Slices of other names do not count:
/// another author could use them to make the router refuse other tenants' Pods.
bool names_api_server(const Cluster& cluster, const runtime::Address& address) {
  const auto service = cluster.services.find(ObjectKey{"default", "kubernetes"});
  if (service == cluster.services.end()) return false;
  const auto slice = service->second.find("kubernetes");
  if (slice == service->second.end()) return false;
  const Slice& told = slice->second;
  const auto same_port = [&](const Slice::Port& each) { return each.number == address.port(); };
  const auto same_ip = [ip = address.ip()](const Slice::Endpoint& each) { return each.address == ip; };
  return std::any_of(told.ports.begin(), told.ports.end(), same_port) &&
         std::any_of(told.endpoints.begin(), told.endpoints.end(), same_ip);
}

}  // namespace

bool may_be_a_pod(const runtime::Address& address) {
  if (address.family() == AF_INET) {
    sockaddr_in inet{};
    std::memcpy(&inet, address.get(), sizeof inet);
    return may_be_a_pod(ntohl(inet.sin_addr.s_addr));
  }
  sockaddr_in6 inet{};
  std::memcpy(&inet, address.get(), sizeof inet);
  const in6_addr& ip = inet.sin6_addr;
  // An IPv4 address must be given as one, and not mapped to or embedded in IPv6.
  static constexpr std::uint8_t kZeros[10] = {};
  const bool embeds_ipv4 = std::memcmp(ip.s6_addr, kZeros, sizeof kZeros) == 0;  // also :: and ::1
  return !embeds_ipv4 && !IN6_IS_ADDR_LINKLOCAL(&ip) && !IN6_IS_ADDR_MULTICAST(&ip);
}

std::string why_no_replica(const runtime::Address& address, const Cluster& cluster, const config::Kubernetes& rules,
                           const Avoided& avoided) {
  if (!may_be_a_pod(address)) return absl::StrCat("a Pod cannot have the address ", config::shown(address.ip()));
  if (avoided.own.is_listener(address)) return absl::StrCat(address.text(), " is where the router itself listens");
  if (!rules.allow_custom_endpoint_slices && avoided.own.is_local(address)) {
    return absl::StrCat("the address ", config::shown(address.ip()), " is the router's own");
  }
  if (avoided.api_server.contains(address.ip()) || names_api_server(cluster, address)) {
    return absl::StrCat("the address ", config::shown(address.ip()), " is the API server's");
  }
  return "";
}

}  // namespace router::discovery

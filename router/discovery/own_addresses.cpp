#include "router/discovery/own_addresses.h"

#include <ifaddrs.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

namespace router::discovery {
namespace {

using runtime::Address;

/// The IP address that a connection to `address` reaches; see the header.
std::string reached_ip(const Address& address) {
  std::string ip = address.ip();
  if (ip == "0.0.0.0") return "127.0.0.1";
  if (ip == "::") return "::1";
  static constexpr std::string_view kMapped = "::ffff:";
  if (ip.starts_with(kMapped) && ip.find('.') != ip.npos) {
    const auto inner = Address::parse(std::string_view(ip).substr(kMapped.size()), address.port());
    if (inner) return reached_ip(*inner);
  }
  return ip;
}

bool is_loopback(const std::string& ip) { return ip.starts_with("127.") || ip == "::1"; }

}  // namespace

OwnAddresses::OwnAddresses(std::vector<Address> listeners, std::set<std::string> local_ips)
    : listeners_(std::move(listeners)), local_ips_(std::move(local_ips)) {}

std::set<std::string> OwnAddresses::read_local_ips() {
  std::set<std::string> ips;
  ifaddrs* first = nullptr;
  if (::getifaddrs(&first) != 0) return ips;
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> all(first, &::freeifaddrs);
  for (const ifaddrs* each = first; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr) continue;
    const int family = each->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    ips.insert(Address::from(each->ifa_addr, family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6)).ip());
  }
  return ips;
}

bool OwnAddresses::is_local(const Address& address) const {
  const std::string ip = reached_ip(address);
  return is_loopback(ip) || local_ips_.contains(ip);
}

bool OwnAddresses::is_listener(const Address& address) const {
  return std::any_of(listeners_.begin(), listeners_.end(), [&](const Address& listener) {
    if (listener.port() != address.port()) return false;
    const std::string at = listener.ip();
    const std::string reached = reached_ip(address);
    if (at == "::") return is_local(address);
    if (at == "0.0.0.0") return is_local(address) && reached.find(':') == reached.npos;
    return reached_ip(listener) == reached;
  });
}

}  // namespace router::discovery

#include "router/discovery/slice_replicas.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <utility>

#include "config/findings.h"

namespace router::discovery {
namespace {

using runtime::Address;

/// Whether a Pod could have it: not this machine's own (loopback, link-local, unspecified), nor that of many (multicast,
/// broadcast). A slice that says so would have the router speak to its own listeners.
bool may_be_a_pod(std::uint32_t ipv4) {
  const std::uint32_t first = ipv4 >> 24;
  const bool link_local = (ipv4 >> 16) == 0xA9FE;
  return first != 0 && first != 127 && first < 224 && !link_local;
}

bool may_be_a_pod(const Address& address) {
  if (address.family() == AF_INET) {
    sockaddr_in inet{};
    std::memcpy(&inet, address.get(), sizeof inet);
    return may_be_a_pod(ntohl(inet.sin_addr.s_addr));
  }
  sockaddr_in6 inet{};
  std::memcpy(&inet, address.get(), sizeof inet);
  const in6_addr& ip = inet.sin6_addr;
  // An IPv4 address in disguise (mapped, or embedded in another way) belongs into a slice for IPv4.
  static constexpr std::uint8_t kZeros[10] = {};
  const bool embeds_ipv4 = std::memcmp(ip.s6_addr, kZeros, sizeof kZeros) == 0;  // also :: and ::1
  return !embeds_ipv4 && !IN6_IS_ADDR_LINKLOCAL(&ip) && !IN6_IS_ADDR_MULTICAST(&ip);
}

int family_of(Slice::Family family) { return family == Slice::Family::kIpv4 ? AF_INET : AF_INET6; }

class Finder {
 public:
  Finder(const config::Kubernetes& rules, const config::Deployment& deployment) : rules_(rules), deployment_(deployment) {}

  void add(const std::string& name, const Slice& slice) {
    if (slice.family == Slice::Family::kOther) return refuse(name, "only addressType IPv4 and IPv6 are used");
    if (!slice.by_kubernetes && !rules_.allow_custom_endpoint_slices) {
      return refuse(name, "it was not written by Kubernetes itself (allow_custom_endpoint_slices)");
    }
    const std::optional<std::uint16_t> port = port_of(slice);
    if (!port) {
      if (!slice.endpoints.empty()) refuse(name, absl::StrCat("it has no port ", config::shown(wanted_port())));
      return;
    }
    for (const Slice::Endpoint& endpoint : slice.endpoints) add(name, slice, endpoint, *port);
  }

  SliceReplicas finish() {
    for (auto& [identity, replica] : found_) result_.replicas.push_back(std::move(replica));
    if (refused_ > kTold) absl::StrAppend(&result_.refused, "; and ", refused_ - kTold, " more");
    return std::move(result_);
  }

 private:
  static constexpr std::size_t kTold = 5;

  void refuse(const std::string& slice, const std::string& why) {
    if (++refused_ > kTold) return;
    absl::StrAppend(&result_.refused, refused_ > 1 ? "; " : "", "EndpointSlice ", slice, ": ", why);
  }

  std::string wanted_port() const {
    return deployment_.service.port.empty() ? std::to_string(deployment_.scoring_route.port) : deployment_.service.port;
  }
  std::optional<std::uint16_t> port_of(const Slice& slice) const {
    const std::string wanted = wanted_port();
    std::uint32_t number = 0;
    const bool by_number = absl::SimpleAtoi(wanted, &number);
    const auto port = std::find_if(slice.ports.begin(), slice.ports.end(), [&](const Slice::Port& each) {
      return by_number ? each.number == number : each.name == wanted;
    });
    return port == slice.ports.end() ? std::nullopt : std::optional(port->number);
  }

  /// Whether the Pod it refers to is one of this namespace; without `allow_custom_endpoint_slices` there must be one.
  bool is_believed(const Slice::Endpoint& endpoint) const {
    if (!endpoint.target) return rules_.allow_custom_endpoint_slices;
    const bool own = endpoint.target->home == deployment_.home;
    if (endpoint.target->kind == "Pod") return own && !endpoint.target->uid.empty();
    return rules_.allow_custom_endpoint_slices && (own || endpoint.target->home.empty());
  }

  void add(const std::string& name, const Slice& slice, const Slice::Endpoint& endpoint, std::uint16_t port) {
    if (!is_believed(endpoint)) {
      return refuse(name,
                    absl::StrCat("the address ", config::shown(endpoint.address), " is not that of a Pod of this namespace"));
    }
    const std::optional<Address> address = Address::parse(endpoint.address, port);
    if (!address || address->family() != family_of(slice.family) || !may_be_a_pod(*address)) {
      return refuse(name, absl::StrCat("a Pod cannot have the address ", config::shown(endpoint.address)));
    }
    const bool is_pod = endpoint.target && endpoint.target->kind == "Pod";
    const std::string identity = is_pod ? absl::StrCat(endpoint.target->uid, ":", port) : address->text();
    const auto [known, fresh] = found_.try_emplace(identity);
    FoundReplica& replica = known->second;
    const bool usable = endpoint.ready && !endpoint.terminating;
    replica.ready = (fresh || *replica.ready) && usable;
    replica.terminating = replica.terminating || endpoint.terminating;
    if (fresh || prefers(*address, replica.address)) reach_at(replica, *address);
    replica.identity = identity;
  }

  /// IPv4 before IPv6; then any order that is always the same.
  static bool prefers(const Address& address, const Address& before) {
    if (address.family() != before.family()) return address.family() == AF_INET;
    return address.text() < before.text();
  }

  void reach_at(FoundReplica& replica, const Address& address) const {
    replica.address = address;
    replica.name = address.text();
    replica.host = address.ip();
    const bool same_port = deployment_.readiness_route.port == deployment_.scoring_route.port;
    const std::uint16_t probe_port = same_port ? address.port() : deployment_.readiness_route.port;
    replica.probe_address = *Address::parse(address.ip(), probe_port);
  }

  const config::Kubernetes& rules_;
  const config::Deployment& deployment_;
  std::map<std::string, FoundReplica> found_;  // by identity
  std::size_t refused_ = 0;
  SliceReplicas result_;
};

}  // namespace

SliceReplicas find_replicas(const Cluster& cluster, const config::Kubernetes& rules, const config::Deployment& deployment) {
  Finder finder(rules, deployment);
  const auto slices = cluster.services.find(ObjectKey{deployment.home, deployment.service.name});
  if (slices == cluster.services.end()) return finder.finish();
  for (const auto& [name, slice] : slices->second) finder.add(name, slice);
  return finder.finish();
}

}  // namespace router::discovery

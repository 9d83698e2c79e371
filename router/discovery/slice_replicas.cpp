#include "router/discovery/slice_replicas.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <netinet/in.h>

#include <algorithm>
#include <optional>

#include "config/findings.h"
#include "router/discovery/pod_address.h"
#include "router/discovery/reconcile_result.h"
#include "router/discovery/replica_collector.h"

namespace router::discovery {
namespace {

using runtime::Address;

int family_of(Slice::Family family) { return family == Slice::Family::kIpv4 ? AF_INET : AF_INET6; }

class Finder {
 public:
  Finder(const Cluster& cluster, const config::Kubernetes& rules, const Avoided& avoided, const config::Deployment& deployment)
      : cluster_(cluster), rules_(rules), avoided_(avoided), deployment_(deployment), collector_(deployment) {}

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

  FoundReplicas finish() { return collector_.finish(reason::kSlicesRefused); }

 private:
  void refuse(const std::string& slice, const std::string& why) { collector_.refuse("EndpointSlice " + slice, why); }

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

  /// Whether the endpoint refers to a Pod of this namespace. With `allow_custom_endpoint_slices` it may also refer to another
  /// object of this namespace, or to none.
  bool is_believed(const Slice::Endpoint& endpoint) const {
    if (!endpoint.target) return rules_.allow_custom_endpoint_slices;
    const bool own = endpoint.target->namespace_name == deployment_.namespace_name;
    if (endpoint.target->kind == "Pod") return own && !endpoint.target->uid.empty();
    return rules_.allow_custom_endpoint_slices && (own || endpoint.target->namespace_name.empty());
  }

  /// Whether the Pod's own status has the address. If not, the address is refused; no refusal is recorded while the Pod has no
  /// addresses yet.
  bool is_address_of(const std::string& slice, const std::string& uid, const Address& address) {
    const auto pod = cluster_.pod_addresses.find(ObjectKey{deployment_.namespace_name, uid});
    if (pod == cluster_.pod_addresses.end()) {
      refuse(slice, absl::StrCat("the address ", config::shown(address.ip()), " refers to a Pod that is not there"));
      return false;
    }
    const bool has_it = std::any_of(pod->second.begin(), pod->second.end(), [&](const std::string& each) {
      const std::optional<Address> own = Address::parse(each, address.port());
      return own && *own == address;
    });
    if (!has_it && !pod->second.empty()) {
      refuse(slice, absl::StrCat("the address ", config::shown(address.ip()), " is not that of the Pod to which it refers"));
    }
    return has_it;
  }

  void add(const std::string& name, const Slice& slice, const Slice::Endpoint& endpoint, std::uint16_t port) {
    if (!is_believed(endpoint)) {
      return refuse(name,
                    absl::StrCat("the address ", config::shown(endpoint.address), " is not that of a Pod of this namespace"));
    }
    const std::optional<Address> address = Address::parse(endpoint.address, port);
    if (!address || address->family() != family_of(slice.family)) {
      return refuse(name, absl::StrCat("a Pod cannot have the address ", config::shown(endpoint.address)));
    }
    if (const std::string why = why_no_replica(*address, cluster_, rules_, avoided_); !why.empty()) return refuse(name, why);
    const bool is_pod = endpoint.target && endpoint.target->kind == "Pod";
    if (is_pod && rules_.check_pod_addresses && !is_address_of(name, endpoint.target->uid, *address)) return;
    const std::string identity = is_pod ? pod_identity(endpoint.target->uid, port) : address->text();
    collector_.add(identity, {*address, endpoint.ready, endpoint.terminating});
  }

  const Cluster& cluster_;
  const config::Kubernetes& rules_;
  const Avoided& avoided_;
  const config::Deployment& deployment_;
  ReplicaCollector collector_;
};

}  // namespace

FoundReplicas find_slice_replicas(const Cluster& cluster, const config::Kubernetes& rules, const Avoided& avoided,
                                  const config::Deployment& deployment) {
  Finder finder(cluster, rules, avoided, deployment);
  const auto slices = cluster.services.find(ObjectKey{deployment.namespace_name, deployment.service.name});
  if (slices == cluster.services.end()) return finder.finish();
  for (const auto& [name, slice] : slices->second) finder.add(name, slice);
  return finder.finish();
}

}  // namespace router::discovery

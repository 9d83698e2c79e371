#include "router/discovery/pod_replicas.h"

#include <absl/strings/str_cat.h>

#include <functional>
#include <optional>

#include "config/findings.h"
#include "router/discovery/pod_address.h"
#include "router/discovery/reconcile_result.h"
#include "router/discovery/replica_collector.h"

namespace router::discovery {
namespace {

using runtime::Address;

/// Returns why no replica may have the address; empty if one may.
using Judge = std::function<std::string(const Address&)>;

void add(const std::string& name, const LabelledPod& pod, std::uint16_t port, const Judge& why_not,
         ReplicaCollector& collector) {
  if (pod.ended || pod.addresses.empty()) return;
  const std::string what = "Pod " + name;
  if (pod.uid.empty()) return collector.refuse(what, "it has no uid");
  if (pod.on_host_network) {
    return collector.refuse(what, "it shares the network of its node (hostNetwork) with other programs; use a Service");
  }
  for (const std::string& each : pod.addresses) {
    const std::optional<Address> address = Address::parse(each, port);
    const std::string why = address ? why_not(*address) : absl::StrCat("a Pod cannot have the address ", config::shown(each));
    if (why.empty()) {
      collector.add(pod_identity(pod.uid, port), {*address, pod.ready, pod.terminating});
    } else {
      collector.refuse(what, why);
    }
  }
}

}  // namespace

FoundReplicas find_pod_replicas(const Cluster& cluster, const config::Kubernetes& rules, const Avoided& avoided,
                                const config::Deployment& deployment) {
  const auto why_not = [&](const Address& address) { return why_no_replica(address, cluster, rules, avoided); };
  ReplicaCollector collector(deployment);
  const auto pods = cluster.pods.find(label_key(deployment.namespace_name, deployment.endpoint_name, deployment.name));
  if (pods != cluster.pods.end()) {
    for (const auto& [name, pod] : pods->second) add(name, pod, deployment.scoring_route.port, why_not, collector);
  }
  return collector.finish(reason::kPodsRefused);
}

}  // namespace router::discovery

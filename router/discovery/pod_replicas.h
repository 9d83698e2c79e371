#pragma once

#include "config/config.h"
#include "router/discovery/cluster.h"
#include "router/discovery/found_replica.h"
#include "router/discovery/pod_address.h"

namespace router::discovery {

/// Finds the replicas of a deployment with `adoptAzureMLPods`: the Pods of its namespace whose labels name the deployment and
/// its endpoint (compared without case), at the port of the scoring route. A Pod has the same identity as in slice_replicas.h,
/// so it stays the same replica if a Service selects it, too. A Pod without an address, or one that has ended, is no replica.
/// Pods on their node's network are refused, because another program of the node could listen at that port. Addresses of this
/// machine or of the API server are refused, too (why_no_replica).
FoundReplicas find_pod_replicas(const Cluster& cluster, const config::Kubernetes& rules, const Avoided& avoided,
                                const config::Deployment& deployment);

}  // namespace router::discovery

#pragma once

#include "config/config.h"
#include "router/discovery/cluster.h"
#include "router/discovery/found_replica.h"
#include "router/discovery/pod_address.h"

namespace router::discovery {

/// The replicas of a deployment that asks for `adoptAzureMLPods`: the Pods of its own namespace whose labels name it and its
/// endpoint, compared without case, on the port of the scoring route. The counterpart of slice_replicas.h, with the same
/// identity: a Pod that a Service shows, too, is the same replica. One that has no address yet, or has ended, is none.
/// Refused are Pods that share their node's network, where whatever else listens on the node would be asked, and addresses
/// that lead back to this machine or to the API server (why_no_replica).
FoundReplicas find_pod_replicas(const Cluster& cluster, const config::Kubernetes& rules, const Avoided& avoided,
                                const config::Deployment& deployment);

}  // namespace router::discovery

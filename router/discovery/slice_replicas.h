#pragma once

#include "config/config.h"
#include "router/discovery/cluster.h"
#include "router/discovery/found_replica.h"
#include "router/discovery/pod_address.h"

namespace router::discovery {

/// Finds the replicas of a deployment that is a resource in the EndpointSlices of its Service. A Pod, identified by its uid and
/// the port, is one replica even if several slices contain it. If they contain addresses of both families, IPv4 is used. If
/// they disagree about readiness, the replica is usable only if all of them say so.
/// Only addresses of Pods in the deployment's own namespace, written by Kubernetes' own controller, are accepted, and none of
/// this machine. With `allow_custom_endpoint_slices` other slices are accepted, also without a Pod, but no endpoint that
/// refers to another namespace.
FoundReplicas find_slice_replicas(const Cluster& cluster, const config::Kubernetes& rules, const Avoided& avoided,
                                  const config::Deployment& deployment);

}  // namespace router::discovery

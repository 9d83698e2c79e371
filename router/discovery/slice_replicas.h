#pragma once

#include "config/config.h"
#include "router/discovery/cluster.h"
#include "router/discovery/found_replica.h"
#include "router/discovery/pod_address.h"

namespace router::discovery {

/// The replicas of a deployment that is a resource: what the EndpointSlices of its Service show. A Pod is one replica, by its
/// uid and the port, however many slices show it; if they show both, its IPv4 address is used. Where they disagree it is
/// usable only if all of them say so.
/// Believed are addresses of Pods in the deployment's own namespace, as Kubernetes' own controller writes them, and none that
/// leads back to this machine. With `allow_custom_endpoint_slices` others are believed, too, also without a Pod; but never
/// one that refers to another namespace.
FoundReplicas find_slice_replicas(const Cluster& cluster, const config::Kubernetes& rules, const Avoided& avoided,
                                  const config::Deployment& deployment);

}  // namespace router::discovery

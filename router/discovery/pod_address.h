#pragma once

#include <set>
#include <string>

#include "config/config.h"
#include "router/discovery/cluster.h"
#include "router/discovery/own_addresses.h"
#include "router/runtime/address.h"

namespace router::discovery {

/// Whether a Pod could have it: not this machine's own (loopback, link-local, unspecified), nor that of many (multicast,
/// broadcast), nor an IPv4 address inside an IPv6 one. Whoever says that a Pod has one of those would have the router speak to
/// its own listeners.
bool may_be_a_pod(const runtime::Address& address);

/// Whom no object of a tenant may have the router speak to. Plain values, made by the control thread.
struct Avoided {
  OwnAddresses own;
  std::set<std::string> api_server;  // IP addresses at which the router itself reaches it
};

/// Why no replica is at `address`, whatever an object says; empty: one may be. To what may_be_a_pod refuses it adds the
/// addresses of the router's own machine (with `allow_custom_endpoint_slices` only its listeners, as other programs of the
/// machine may be meant), those of the API server by which the router knows it, and, where the namespace `default` is served,
/// the addresses and ports that the API server itself writes into the EndpointSlice `kubernetes` there.
std::string why_no_replica(const runtime::Address& address, const Cluster& cluster, const config::Kubernetes& rules,
                           const Avoided& avoided);

}  // namespace router::discovery

#pragma once

#include <set>
#include <string>

#include "config/config.h"
#include "router/discovery/cluster.h"
#include "router/discovery/own_addresses.h"
#include "router/runtime/address.h"

namespace router::discovery {

/// Whether a Pod can have this address. False for loopback, link-local, unspecified, multicast and broadcast addresses, and for
/// IPv4 addresses embedded in IPv6. An object that names such an address for a Pod could direct requests to the router's own
/// listeners.
bool may_be_a_pod(const runtime::Address& address);

/// Addresses to which no object of a tenant may direct the router. Plain values, made by the control thread.
struct Avoided {
  OwnAddresses own;
  std::set<std::string> api_server;  // IP addresses of the API server that the router itself uses
};

/// Why no replica may have `address`, whatever an object says; empty if one may. Besides the addresses that may_be_a_pod
/// refuses, these are:
/// - the addresses of the router's own machine (with `allow_custom_endpoint_slices` only the router's listeners, since an
///   object may mean another program of the machine),
/// - the API server's addresses that the router uses,
/// - if the namespace `default` is served, the addresses and ports of the EndpointSlice `kubernetes`, which the API server
///   writes itself.
std::string why_no_replica(const runtime::Address& address, const Cluster& cluster, const config::Kubernetes& rules,
                           const Avoided& avoided);

}  // namespace router::discovery

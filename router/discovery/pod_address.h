#pragma once

#include "router/runtime/address.h"

namespace router::discovery {

/// Whether a Pod could have it: not this machine's own (loopback, link-local, unspecified), nor that of many (multicast,
/// broadcast), nor an IPv4 address inside an IPv6 one. Whoever says that a Pod has one of those would have the router speak to
/// its own listeners.
bool may_be_a_pod(const runtime::Address& address);

}  // namespace router::discovery

#pragma once

#include <netinet/in.h>

#include <array>
#include <string_view>

#include "router/proxy/downstream.h"
#include "router/proxy/networks.h"

namespace router::proxy {

/// Buffer for the text of an address.
using ClientIpText = std::array<char, INET6_ADDRSTRLEN>;

/// The client's address for the access log. It is the peer's address (the one in the PROXY protocol header, if there was one).
/// If the peer is a trusted proxy, it is the last address in `X-Forwarded-For` that is not a trusted proxy itself, as with
/// nginx's `real_ip_recursive`; addresses further left may be forged by the client. Ports are dropped. The search ends at an
/// element that is not an address, or after kHopsMax elements, and the result is the last address before that. Returns a view
/// of `room` or of the peer.
std::string_view client_ip(const Downstream& from, const Networks& trusted, ClientIpText& room);

}  // namespace router::proxy

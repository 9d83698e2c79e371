#pragma once

#include <netinet/in.h>

#include <array>
#include <string_view>

#include "router/proxy/downstream.h"
#include "router/proxy/networks.h"

namespace router::proxy {

/// Room for the text of an address.
using ClientIpText = std::array<char, INET6_ADDRSTRLEN>;

/// Who asked, for the access log: the peer (as the PROXY protocol tells), or, where that is a trusted proxy, whom it speaks
/// for in `X-Forwarded-For`: of that list the last address which is no trusted proxy itself, as nginx's `real_ip_recursive`
/// does. What stands further left is whatever the client has sent. Ports are dropped; an element that is no address ends the
/// search, and so do kHopsMax proxies: then it is the last address before that. A view of `room`, or of the peer.
std::string_view client_ip(const Downstream& from, const Networks& trusted, ClientIpText& room);

}  // namespace router::proxy

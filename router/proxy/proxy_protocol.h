#pragma once

#include <optional>
#include <string_view>

#include "router/base/result.h"
#include "router/base/task.h"
#include "router/runtime/address.h"
#include "router/runtime/socket.h"

namespace router::proxy {

/// A PROXY protocol header (HAProxy's proxy-protocol.txt, versions 1 and 2) at the start of some bytes.
struct ProxyHeader {
  std::size_t bytes = 0;                   // its length
  std::optional<runtime::Address> client;  // nothing: LOCAL or UNKNOWN, the connection speaks for itself
};

/// bytes == 0: more input is needed. Fails with bad_request if this is no PROXY header; at most 536 bytes are looked at.
Result<ProxyHeader> parse_proxy_header(std::string_view input);

/// Reads the header off a new connection, and not a byte more, until `deadline`, or until `closing`, which may come nearer
/// meanwhile (whoever moves it wakes). Suspends. Returns the client's address, or `peer` if none is told.
Task<Result<runtime::Address>> read_proxy_header(runtime::Socket& socket, runtime::Wakeup& wakeup, Deadline deadline,
                                                 const Deadline& closing, runtime::Address peer);

}  // namespace router::proxy

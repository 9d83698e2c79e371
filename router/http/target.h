#pragma once

#include <string_view>

#include "router/http/head.h"
#include "router/http/mistake.h"

namespace router::http {

/// Splits the target of `head` into path, query and authority, according to its method (RFC 9112, 3.2): origin-form,
/// absolute-form (http and https), `*` for OPTIONS, and authority-form for CONNECT, which is only checked.
Mistake parse_target(RequestHead& head);

/// Whether `text` is a host with or without a port: a name, an IPv4 address or an IPv6 address in brackets; no user
/// information. Must not be empty: every URI that this router serves has an authority (RFC 9112, 3.2).
bool is_host(std::string_view text);

}  // namespace router::http

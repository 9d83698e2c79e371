#pragma once

#include "router/http/head.h"
#include "router/proxy/record.h"

namespace router::proxy {

/// Reads the ids of a request or makes them: `x-request-id` is kept if it is a UUID, `x-ms-client-request-id` is cleaned (Azure
/// ML). `into` refers to itself and to the head, so it must not be moved.
void read_ids(const http::RequestHead& head, RequestIds& into);

}  // namespace router::proxy

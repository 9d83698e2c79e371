#pragma once

#include "router/http/head.h"
#include "router/proxy/record.h"

namespace router::proxy {

/// Takes the ids of a request over or makes them: `x-request-id` is kept if it is a UUID, `x-ms-client-request-id` is cleaned
/// (Azure ML). `into` refers to itself and to the head: it stays where it is.
void read_ids(const http::RequestHead& head, RequestIds& into);

}  // namespace router::proxy

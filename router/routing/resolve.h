#pragma once

#include <cstdint>

#include "router/base/result.h"
#include "router/http/head.h"
#include "router/model/table.h"

namespace router::routing {

/// How far a request was understood: the endpoint is known even where no deployment was found, so that its profile and its
/// metrics apply.
struct Resolution {
  const model::Endpoint* endpoint = nullptr;
  Result<model::Route> route;
};

/// Finds endpoint, deployment and path for a request (contract, sections 1 and 2). `random` draws the traffic split.
/// Fails with endpoint_not_found, deployment_not_found, or bad_request for dot segments below a scoring URI.
Resolution resolve(const model::RoutingTable& table, const http::RequestHead& head, std::uint64_t random);

/// The route of the copy of a request with a `mirror`: the same, to that deployment.
model::Route mirrored(const model::Route& live);

}  // namespace router::routing

#pragma once

#include <cstdint>
#include <string_view>

#include "router/base/result.h"
#include "router/http/head.h"
#include "router/model/table.h"

namespace router::routing {

/// The path of a request within its endpoint, independent of the deployments. Views into the request head.
struct Target {
  std::string_view path;           // below the endpoint
  std::string_view rest;           // after `/score`
  bool scores = false;             // `/score` or below
  bool has_encoded_slash = false;  // in `rest`
};

/// The result of `find_endpoint`. If the path was refused, the endpoint is still known, so that its status profile and its
/// metrics apply.
struct Destination {
  const model::Endpoint* endpoint = nullptr;
  Result<Target> target;
};

/// Finds endpoint and path for a request (contract, section 1). The result does not depend on the endpoint's deployments, since
/// the request is not authenticated yet. Fails with endpoint_not_found, no_ready_replica (the endpoint may exist), or
/// bad_request for dot segments below a scoring URI. `choose_deployment` checks encoded slashes, since deployments may allow
/// them.
Destination find_endpoint(const model::RoutingTable& table, const http::RequestHead& head);

/// Chooses the deployment of a request (contract, section 2). Call only after authentication. `random` draws from the traffic
/// split. Fails with deployment_not_found, or with bad_request for an encoded slash that the deployment does not allow and for
/// several azureml-model-deployment fields, of which a proxy before the router may have read another one.
Result<model::Route> choose_deployment(const model::Endpoint& endpoint, const Target& target, const http::RequestHead& head,
                                       std::uint64_t random);

/// The route for the copy of a request with a `mirror`: the same route, but to that deployment.
model::Route mirrored(const model::Route& live);

}  // namespace router::routing

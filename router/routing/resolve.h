#pragma once

#include <cstdint>
#include <string_view>

#include "router/base/result.h"
#include "router/http/head.h"
#include "router/model/table.h"

namespace router::routing {

/// What a path asks of an endpoint, whatever its deployments are. Views into the request head.
struct Target {
  std::string_view path;           // below the endpoint
  std::string_view rest;           // behind `/score`
  bool scores = false;             // `/score` or below
  bool has_encoded_slash = false;  // in `rest`
};

/// How far a request was understood: the endpoint is known even where its path was refused, so that its profile and its metrics
/// apply.
struct Destination {
  const model::Endpoint* endpoint = nullptr;
  Result<Target> target;
};

/// Finds endpoint and path for a request (contract, section 1). Nothing that it says depends on the endpoint's deployments:
/// nobody has been authenticated yet. Fails with endpoint_not_found, or bad_request for dot segments below a scoring URI.
/// Encoded slashes wait for `choose_deployment`, since deployments may allow them.
Destination find_endpoint(const model::RoutingTable& table, const http::RequestHead& head);

/// The deployment of a request (contract, section 2); only for who may score at the endpoint. `random` draws the traffic split.
/// Fails with deployment_not_found, or bad_request for an encoded slash that the deployment does not allow and for several
/// azureml-model-deployment fields: whatever stands in front of the router may have read another one of them.
Result<model::Route> choose_deployment(const model::Endpoint& endpoint, const Target& target, const http::RequestHead& head,
                                       std::uint64_t random);

/// The route of the copy of a request with a `mirror`: the same, to that deployment.
model::Route mirrored(const model::Route& live);

}  // namespace router::routing

#pragma once

#include <string_view>

#include "router/http/head.h"
#include "router/model/table.h"

/// Maps the paths of a pod to those that the client sees. Results are views into the request's head, the answer's head and the
/// route.
namespace router::proxy {

/// The value of `X-Forwarded-Prefix`: the part of the client's path before the pod's path (`/score` for a host name of the
/// endpoint's own and a pod at `/`). Empty if there is none, or if the client's path does not end with the pod's
/// (`scoring_route.path: /predict`).
std::string_view public_prefix(const http::RequestHead& head, const model::Route& route);

/// How the client reached the router, as the pod was informed: according to this connection and request, or to the fields of a
/// trusted peer.
struct Outside {
  std::string_view scheme;
  std::string_view host;
  std::string_view prefix = {};  // removed by a trusted peer; without the router's own
};

/// A `Location` of the pod in the form for the client.
struct PublicLocation {
  bool mapped = false;      // false: it is passed on unchanged
  std::string_view origin;  // `http://host`, or empty
  std::string_view path;    // path of the scoring URI
  std::string_view rest;    // the rest, with query and fragment
};

/// Maps a path below the pod's scoring route to the same path below the requested scoring URI. Not mapped: a location relative
/// to the request's own path; an origin other than the client's; a path that is below a public path of the endpoint already (by
/// either prefix, its name in any case, with or without the prefix that a trusted peer has removed); and all answers to a host
/// name of the endpoint's own, where every path is the pod's. Linear time.
PublicLocation public_location(std::string_view location, const Outside& outside, const http::RequestHead& head,
                               const model::Route& route);

}  // namespace router::proxy

#pragma once

#include <string_view>

#include "router/http/head.h"
#include "router/model/table.h"

/// What the client calls the paths of a pod. Views into the request's head, the answer's head and the route.
namespace router::proxy {

/// `X-Forwarded-Prefix`: what stands before the pod's path in the client's (`/score` for a host name of the endpoint's own and
/// a pod at `/`). Empty if nothing does, or if the pod's path is no end of the client's (`scoring_route.path: /predict`).
std::string_view public_prefix(const http::RequestHead& head, const model::Route& route);

/// How the client reached us, as the pod was told: by this connection and request, or by a trusted peer's word.
struct Outside {
  std::string_view scheme;
  std::string_view host;
  std::string_view prefix = {};  // that a trusted peer has cut off; without ours
};

/// A `Location` of the pod as the client must read it.
struct PublicLocation {
  bool mapped = false;      // else it stays as it is
  std::string_view origin;  // `http://host`, or empty
  std::string_view path;    // of the scoring URI
  std::string_view rest;    // below it, with query and fragment
};

/// Maps a path below the pod's scoring route to the same below the scoring URI that was asked. Not: what is relative to the
/// request's own path, another origin than the client's, what is below a public path of the endpoint already (by either prefix,
/// its name in any case, with or without what a trusted peer has cut off), and answers to a host name of the endpoint's own,
/// where every path is the pod's. Linear.
PublicLocation public_location(std::string_view location, const Outside& outside, const http::RequestHead& head,
                               const model::Route& route);

}  // namespace router::proxy

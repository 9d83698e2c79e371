#pragma once

#include <string_view>

#include "router/http/head.h"
#include "router/model/table.h"

/// What the client calls the paths of a pod. Views into the request's head, the answer's head and the route.
namespace router::proxy {

/// `X-Forwarded-Prefix`: what stands before the pod's path in the client's. Empty if nothing does, as for a host name of the
/// endpoint's own, or if the pod's path is no end of the client's (`scoring_route.path: /predict`).
std::string_view public_prefix(const http::RequestHead& head, const model::Route& route);

/// A `Location` of the pod as the client must read it.
struct PublicLocation {
  bool mapped = false;      // else it stays as it is
  std::string_view origin;  // `http://host`, or empty
  std::string_view path;    // of the scoring URI
  std::string_view rest;    // below it, with query and fragment
};

/// Maps a path below the pod's scoring route to the same below the scoring URI that was asked. Not: what is relative to the
/// request's own path, another origin than `scheme` and `host`, what is below the scoring URI already, and answers to a host
/// name of the endpoint's own, where every path is the pod's.
PublicLocation public_location(std::string_view location, std::string_view scheme, std::string_view host,
                               const http::RequestHead& head, const model::Route& route);

}  // namespace router::proxy

#include "router/proxy/public_path.h"

#include <algorithm>

#include "router/base/text.h"

namespace router::proxy {
namespace {

/// The path of the requested scoring URI: the path of the request without the part below the scoring URI.
std::string_view scoring_path(const http::RequestHead& head, const model::Route& route) {
  return head.path.substr(0, head.path.size() - std::min(route.path_rest.size(), head.path.size()));
}

std::string_view without_last_slash(std::string_view path) {
  return path.ends_with('/') ? path.substr(0, path.size() - 1) : path;
}

bool is_below(std::string_view path, std::string_view above) {
  if (!path.starts_with(above)) return false;
  return path.size() == above.size() || std::string_view("/?#").find(path[above.size()]) != std::string_view::npos;
}

/// Removes `start` from the beginning of `path`. False if `path` does not begin with it.
bool cut(std::string_view& path, std::string_view start) {
  if (!path.starts_with(start)) return false;
  path.remove_prefix(start.size());
  return true;
}

/// Whether the client can request the path as it is: it is below one of the endpoint's public paths, not necessarily the
/// requested one.
bool is_public(std::string_view path, const model::Endpoint& endpoint) {
  if (!cut(path, "/api/v1/endpoint/") && !cut(path, "/api/v1/service/")) return false;
  const std::string_view name = path.substr(0, path.find_first_of("/?#"));
  return equals_ignoring_case(name, endpoint.name);
}

/// Like `is_public`, also for a path that the pod has built from X-Forwarded-Prefix, which begins with the prefix that an outer
/// proxy has removed.
bool is_public_behind(std::string_view prefix, std::string_view path, const model::Endpoint& endpoint) {
  return is_public(path, endpoint) || (cut(path, without_last_slash(prefix)) && is_public(path, endpoint));
}

/// Moves scheme and authority from `location` to `origin`. False if they are not `scheme` and `host`, or if there is no path
/// that begins with a slash.
bool cut_origin(std::string_view& location, std::string_view& origin, std::string_view scheme, std::string_view host) {
  std::size_t size = 0;
  if (!location.starts_with('/')) {
    size = location.find("://");
    if (size == std::string_view::npos || !equals_ignoring_case(location.substr(0, size), scheme)) return false;
    size += 1;
  }
  if (location.substr(size).starts_with("//")) {
    const std::size_t begin = size + 2;
    size = std::min(location.find_first_of("/?#", begin), location.size());
    if (!equals_ignoring_case(location.substr(begin, size - begin), host)) return false;
  }
  origin = location.substr(0, size);
  location.remove_prefix(size);
  return location.starts_with('/');
}

}  // namespace

std::string_view public_prefix(const http::RequestHead& head, const model::Route& route) {
  const std::string_view asked = scoring_path(head, route);
  const std::string_view pods = without_last_slash(route.path);
  return asked.ends_with(pods) ? asked.substr(0, asked.size() - pods.size()) : std::string_view{};
}

PublicLocation public_location(std::string_view location, const Outside& outside, const http::RequestHead& head,
                               const model::Route& route) {
  PublicLocation found;
  found.path = scoring_path(head, route);
  if (!route.scores || found.path == "/score") return found;
  if (!cut_origin(location, found.origin, outside.scheme, outside.host)) return found;
  if (is_public_behind(outside.prefix, location, *route.endpoint)) return found;
  const std::string_view pods = without_last_slash(route.deployment->score_path);
  if (!is_below(location, pods)) return found;
  found.mapped = true;
  found.rest = location.substr(pods.size());
  return found;
}

}  // namespace router::proxy

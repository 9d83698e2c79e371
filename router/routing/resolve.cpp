#include "router/routing/resolve.h"

#include <algorithm>
#include <array>

#include "router/base/assert.h"
#include "router/base/text.h"

namespace router::routing {
namespace {

using model::Deployment;
using model::Endpoint;
using model::Route;
using model::RoutingTable;

constexpr std::size_t kLongestName = 253;  // of a DNS name; an endpoint's is shorter

/// Looks a name up without case and without an allocation.
template <class Map>
const Endpoint* find_ignoring_case(const Map& map, std::string_view name) {
  if (name.empty() || name.size() > kLongestName) return nullptr;
  std::array<char, kLongestName> lower;
  std::transform(name.begin(), name.end(), lower.begin(), to_lower);
  const auto found = map.find(std::string_view(lower.data(), name.size()));
  return found == map.end() ? nullptr : found->second;
}

std::string_view host_of(std::string_view authority) {
  if (authority.starts_with('[')) return authority.substr(0, authority.find(']') + 1);
  return authority.substr(0, authority.find(':'));
}

/// `/score` or `/score/…`: what stands behind it. Nothing for any other path.
bool below_score(std::string_view path, std::string_view& rest) {
  constexpr std::string_view kScore = "/score";
  if (!path.starts_with(kScore)) return false;
  rest = path.substr(kScore.size());
  return rest.empty() || rest.front() == '/';
}

bool has_hidden_slash(std::string_view segment) {
  if (segment.find('\\') != std::string_view::npos) return true;
  for (std::size_t at = segment.find('%'); at != std::string_view::npos; at = segment.find('%', at + 1)) {
    const std::string_view code = segment.substr(at, 3);
    if (equals_ignoring_case(code, "%2f") || equals_ignoring_case(code, "%5c")) return true;
  }
  return false;
}

/// Whether a path below the scoring URI could climb out of it again: a segment `.` or `..`, also percent-encoded, or what a pod
/// might take for a slash, a backslash or an encoded one. nginx would resolve these; we refuse, because the pod's own reading
/// is not known.
bool has_dot_segment(std::string_view path) {
  while (!path.empty()) {
    path.remove_prefix(1);  // its slash
    const std::size_t end = std::min(path.find('/'), path.size());
    std::string_view segment = path.substr(0, end);
    path.remove_prefix(end);
    if (has_hidden_slash(segment)) return true;
    std::size_t dots = 0;
    for (; !segment.empty(); ++dots) {
      if (segment.front() == '.') {
        segment.remove_prefix(1);
      } else if (starts_with_ignoring_case(segment, "%2e")) {
        ROUTER_PLANT(dots == 1 && segment == "%2E");
        segment.remove_prefix(3);
      } else {
        break;
      }
    }
    if (segment.empty() && (dots == 1 || dots == 2)) return true;
  }
  return false;
}

Result<const Deployment*> choose_deployment(const Endpoint& endpoint, const http::RequestHead& head, std::uint64_t random) {
  if (head.fields.has(http::Field::kAzuremlModelDeployment)) {
    const std::string_view wanted = head.fields.get(http::Field::kAzuremlModelDeployment);
    for (const auto& deployment : endpoint.deployments) {
      if (equals_ignoring_case(deployment->name, wanted)) return deployment.get();
    }
    return Failure::downstream(Reason::kDeploymentNotFound,
                               "the endpoint has no deployment of the name in azureml-model-deployment");
  }
  const int percent = static_cast<int>((random >> 32) % 100);
  for (const Endpoint::Share& share : endpoint.traffic) {
    if (percent < share.up_to) return share.deployment;
  }
  if (!endpoint.traffic.empty()) {
    return Failure::downstream(Reason::kDeploymentNotFound,
                               "the deployment that gets this share of the traffic does not exist");
  }
  return Failure::downstream(Reason::kDeploymentNotFound, "no deployment of the endpoint has a share of the traffic");
}

/// The split is drawn by the upper half of `random`, mirroring by the lower.
bool is_drawn(std::uint64_t random, int percent) { return static_cast<int>((random & 0xffffffff) % 100) < percent; }

/// The path of a scoring URI taken apart.
struct ScoringPath {
  std::string_view endpoint;
  std::string_view rest;  // `/score…` or `/swagger.json`
};

bool parse_scoring_path(std::string_view path, ScoringPath& into) {
  for (const std::string_view prefix : {std::string_view("/api/v1/endpoint/"), std::string_view("/api/v1/service/")}) {
    if (!path.starts_with(prefix)) continue;
    path.remove_prefix(prefix.size());
    const std::size_t slash = path.find('/');
    if (slash == std::string_view::npos) return false;
    into = {path.substr(0, slash), path.substr(slash)};
    return true;
  }
  return false;
}

Result<Route> route_to(const Endpoint& endpoint, const http::RequestHead& head, std::uint64_t random, std::string_view path,
                       bool any_path) {
  Route route;
  route.endpoint = &endpoint;
  std::string_view rest;
  const bool scores = below_score(path, rest);
  if (scores && has_dot_segment(rest)) {
    return Failure::downstream(Reason::kBadRequest, "below the scoring URI stand dot segments, backslashes or encoded slashes");
  }
  if (!scores && !any_path && path != "/swagger.json") {
    return Failure::downstream(Reason::kEndpointNotFound, "not a scoring URI of this endpoint: use …/score or …/swagger.json");
  }
  const Result<const Deployment*> deployment = choose_deployment(endpoint, head, random);
  if (!deployment) return deployment.error();
  route.deployment = *deployment;
  route.path = scores ? std::string_view(route.deployment->score_path) : path;
  route.path_rest = scores ? rest : std::string_view();
  route.scores = scores;
  const bool by_split = !head.fields.has(http::Field::kAzuremlModelDeployment);
  if (by_split && endpoint.mirror.deployment != route.deployment && is_drawn(random, endpoint.mirror.percent)) {
    route.mirror = endpoint.mirror.deployment;
  }
  return route;
}

}  // namespace

Route mirrored(const Route& live) {
  Route route = live;
  route.deployment = live.mirror;
  route.mirror = nullptr;
  if (route.scores) route.path = route.deployment->score_path;
  return route;
}

Resolution resolve(const RoutingTable& table, const http::RequestHead& head, std::uint64_t random) {
  if (!table.by_host.empty()) {
    if (const Endpoint* endpoint = find_ignoring_case(table.by_host, host_of(head.authority))) {
      return {endpoint, route_to(*endpoint, head, random, head.path, true)};
    }
  }
  ScoringPath scoring;
  if (!parse_scoring_path(head.path, scoring)) {
    return {nullptr,
            Failure::downstream(Reason::kEndpointNotFound, "the path is not a scoring URI: /api/v1/endpoint/NAME/score")};
  }
  const Endpoint* endpoint = find_ignoring_case(table.by_name, scoring.endpoint);
  if (endpoint == nullptr)
    return {nullptr, Failure::downstream(Reason::kEndpointNotFound, "there is no endpoint of this name")};
  return {endpoint, route_to(*endpoint, head, random, scoring.rest, false)};
}

}  // namespace router::routing

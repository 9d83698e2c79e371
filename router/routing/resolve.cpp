#include "router/routing/resolve.h"

#include <algorithm>
#include <array>
#include <optional>

#include "router/base/assert.h"
#include "router/base/host_port.h"
#include "router/base/text.h"

namespace router::routing {
namespace {

using model::Deployment;
using model::Endpoint;
using model::Route;
using model::RoutingTable;

constexpr std::size_t kLongestName = 253;  // of a DNS name; names of endpoints are shorter

/// Looks up a name without regard to case and without an allocation.
template <class Map>
const Endpoint* find_ignoring_case(const Map& map, std::string_view name) {
  if (name.empty() || name.size() > kLongestName) return nullptr;
  std::array<char, kLongestName> lower;
  std::transform(name.begin(), name.end(), lower.begin(), to_lower);
  const auto found = map.find(std::string_view(lower.data(), name.size()));
  return found == map.end() ? nullptr : found->second;
}

std::string_view host_of(std::string_view authority) {
  const std::optional<HostPort> parts = split_host_port(authority);
  if (!parts) return {};
  const std::string_view name = parts->written;
  return name.ends_with('.') ? name.substr(0, name.size() - 1) : name;  // the dot of the DNS root (RFC 1034, 3.1)
}

/// The pod's path for a scoring request. If `rest` follows, it begins with a slash, so a final slash is removed.
std::string_view path_before(std::string_view score_path, std::string_view rest) {
  return !rest.empty() && score_path.ends_with('/') ? score_path.substr(0, score_path.size() - 1) : score_path;
}

/// True for `/score` and `/score/…`: sets `rest` to what follows `/score`. False for any other path.
bool below_score(std::string_view path, std::string_view& rest) {
  constexpr std::string_view kScore = "/score";
  if (!path.starts_with(kScore)) return false;
  const std::string_view behind = path.substr(kScore.size());
  if (!behind.empty() && behind.front() != '/') return false;
  rest = behind;
  return true;
}

constexpr int kDecodings = 2;  // a pod and a proxy before it may each decode a path once: then `%252e` is a dot

struct Character {
  char value;
  std::size_t bytes;  // its length in the path
};

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = to_lower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/// The first character of `text`, which must not be empty, after percent-decoding `times` times.
template <int times>
Character first_of(std::string_view text) {
  if (times == 0 || text.front() != '%') return {text.front(), 1};
  const Character first = first_of<std::max(times - 1, 0)>(text);
  if (first.value != '%') return first;
  int value = 0;
  std::size_t bytes = first.bytes;
  for (int digits = 0; digits < 2; ++digits) {
    if (bytes == text.size()) return first;
    const Character next = first_of<std::max(times - 1, 0)>(text.substr(bytes));
    const int digit = hex_digit(next.value);
    if (digit < 0) return first;
    value = value * 16 + digit;
    bytes += next.bytes;
  }
  return {static_cast<char>(value), bytes};
}

/// Whether two bytes begin an overlong form in UTF-8 (RFC 3629, section 3; of up to six bytes: RFC 2279), such as `%c0%ae` for
/// a dot; also the forms of decoders that use only the low bits of the second byte (`%c0%2e`).
bool is_overlong(char first, char second) {
  const auto one = static_cast<unsigned char>(first);
  const auto two = static_cast<unsigned char>(second);
  if (one == 0xc0 && (two == '.' || two == '/')) return true;
  if (two < 0x80 || two > 0xbf) return false;
  return one == 0xc0 || one == 0xc1 || (one == 0xe0 && two < 0xa0) || (one == 0xf0 && two < 0x90) ||
         (one == 0xf8 && two < 0x88) || (one == 0xfc && two < 0x84);
}

constexpr const char* kMayClimb =
    "the path below the scoring URI contains dot segments, backslashes, encoded slashes or zero bytes";

bool is_dot_segment(std::size_t dots) { return dots == 1 || dots == 2; }

/// Whether a pod might read a segment as `.` or `..`, also with parameters (`..;x`), or might see a backslash or the end of the
/// text in it. A dot or a slash that is encoded twice or overlong has no other purpose. A slash that is encoded once sets
/// `has_slash` and divides the segment: each part is checked.
bool may_climb(std::string_view segment, bool& has_slash) {
  constexpr std::size_t kEncodedOnce = 3;
  std::size_t dots = 0;
  bool only_dots = true;
  char before = 0;
  while (!segment.empty()) {
    ROUTER_PLANT(dots == 1 && segment == "%2E");
    const Character next = first_of<kDecodings>(segment);
    segment.remove_prefix(next.bytes);
    if (is_overlong(before, next.value)) return true;
    if (next.value == '/' && next.bytes == kEncodedOnce) {
      if (only_dots && is_dot_segment(dots)) return true;
      has_slash = only_dots = true;
      dots = 0;
      before = 0;
      continue;
    }
    if (next.value == '/' || next.value == '\\' || next.value == '\0') return true;
    before = next.value;
    if (next.value == '.' && next.bytes > kEncodedOnce) return true;
    if (!only_dots) continue;
    if (next.value == ';' && is_dot_segment(dots)) return true;
    only_dots = next.value == '.';
    ++dots;
  }
  return only_dots && is_dot_segment(dots);
}

/// Whether a path below the scoring URI could leave it again. nginx would resolve dot segments. The router refuses them,
/// because it does not know how the pod reads them.
bool has_dot_segment(std::string_view path, bool& has_slash) {
  while (!path.empty()) {
    path.remove_prefix(1);  // its slash
    const std::size_t end = std::min(path.find('/'), path.size());
    if (may_climb(path.substr(0, end), has_slash)) return true;
    path.remove_prefix(end);
  }
  return false;
}

Result<const Deployment*> wanted_deployment(const Endpoint& endpoint, const http::RequestHead& head, std::uint64_t random) {
  if (head.fields.has(http::Field::kAzuremlModelDeployment)) {
    if (head.fields.repeats(http::Field::kAzuremlModelDeployment)) {
      return Failure::downstream(Reason::kBadRequest, "more than one azureml-model-deployment field");
    }
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
    return Failure::downstream(Reason::kDeploymentNotFound, "the deployment that has this share of the traffic does not exist");
  }
  return Failure::downstream(Reason::kDeploymentNotFound, "no deployment of the endpoint has a share of the traffic");
}

/// Draws for mirroring from the lower half of `random`; the traffic split uses the upper half.
bool is_drawn(std::uint64_t random, int percent) { return static_cast<int>((random & 0xffffffff) % 100) < percent; }

/// The parts of a scoring URI's path.
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

Result<Target> target_of(std::string_view path, bool any_path) {
  Target target{.path = path, .rest = {}};
  target.scores = below_score(path, target.rest);
  if (target.scores && has_dot_segment(target.rest, target.has_encoded_slash))
    return Failure::downstream(Reason::kBadRequest, kMayClimb);
  if (!target.scores && !any_path && path != "/swagger.json") {
    return Failure::downstream(Reason::kEndpointNotFound, "not a scoring URI of this endpoint: use …/score or …/swagger.json");
  }
  return target;
}

/// A client that gets 404 does not come back: as long as not everything was read, it is told to.
Destination not_found(const RoutingTable& table, const char* why) {
  if (table.complete) return {nullptr, Failure::downstream(Reason::kEndpointNotFound, why)};
  return {nullptr, Failure::internal(Reason::kNoReadyReplica, "this router has not read its endpoints yet")};
}

}  // namespace

Route mirrored(const Route& live) {
  Route route = live;
  route.deployment = live.mirror;
  route.mirror = nullptr;
  if (route.scores) route.path = path_before(route.deployment->score_path, route.path_rest);
  return route;
}

Destination find_endpoint(const RoutingTable& table, const http::RequestHead& head) {
  if (!table.by_host.empty()) {
    if (const Endpoint* endpoint = find_ignoring_case(table.by_host, host_of(head.authority))) {
      return {endpoint, target_of(head.path, true)};
    }
  }
  ScoringPath scoring;
  if (!parse_scoring_path(head.path, scoring)) {
    return not_found(table, "the path is not a scoring URI: /api/v1/endpoint/NAME/score");
  }
  const Endpoint* endpoint = find_ignoring_case(table.by_name, scoring.endpoint);
  if (endpoint == nullptr) return not_found(table, "there is no endpoint of this name");
  return {endpoint, target_of(scoring.rest, false)};
}

Result<Route> choose_deployment(const Endpoint& endpoint, const Target& target, const http::RequestHead& head,
                                std::uint64_t random) {
  const Result<const Deployment*> deployment = wanted_deployment(endpoint, head, random);
  if (!deployment) return deployment.error();
  if (target.has_encoded_slash && !(*deployment)->allow_encoded_slashes) {
    return Failure::downstream(Reason::kBadRequest, kMayClimb);
  }
  Route route;
  route.endpoint = &endpoint;
  route.deployment = *deployment;
  route.path = target.scores ? path_before(route.deployment->score_path, target.rest) : target.path;
  route.path_rest = target.rest;
  route.scores = target.scores;
  const bool by_split = !head.fields.has(http::Field::kAzuremlModelDeployment);
  if (by_split && endpoint.mirror.deployment != route.deployment && is_drawn(random, endpoint.mirror.percent)) {
    const Deployment* mirror = endpoint.mirror.deployment;
    const bool refuses = mirror != nullptr && target.has_encoded_slash && !mirror->allow_encoded_slashes;
    route.mirror = refuses ? nullptr : mirror;
  }
  return route;
}

}  // namespace router::routing

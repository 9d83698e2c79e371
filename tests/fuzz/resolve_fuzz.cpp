#include <memory>
#include <string>
#include <string_view>

#include "router/http/head.h"
#include "router/http/target.h"
#include "router/routing/resolve.h"
#include "tests/fuzz/support.h"

/// The head of a request, from its target to the deployment. A path that is sent to a pod must stay below the pod's scoring
/// route, however the pod decodes it.
namespace router::routing {
namespace {

using fuzz::require;
using model::Deployment;
using model::Endpoint;

std::unique_ptr<Endpoint> endpoint(const std::string& name) {
  auto made = std::make_unique<Endpoint>();
  made->name = name;
  for (const char* each : {"blue", "green"}) {
    auto deployment = std::make_unique<Deployment>();
    deployment->name = each;
    deployment->score_path = "/run";
    deployment->allow_encoded_slashes = deployment->name == "green";
    made->deployments.push_back(std::move(deployment));
  }
  made->traffic = {{90, made->deployments[0].get()}, {100, made->deployments[1].get()}};
  return made;
}

/// `iris` can be reached by its name, `chat` also by its host name.
model::RoutingTable make_table() {
  model::RoutingTable table;
  for (const char* name : {"iris", "chat"}) {
    auto made = endpoint(name);
    table.by_name[name] = made.get();
    table.endpoints.push_back(std::move(made));
  }
  table.by_host["chat.example"] = table.by_name["chat"];
  table.by_host["[::1]"] = table.by_name["chat"];
  return table;
}

int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string decode(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool coded = text[i] == '%' && i + 2 < text.size() && digit_of(text[i + 1]) >= 0 && digit_of(text[i + 2]) >= 0;
    decoded += coded ? static_cast<char>(digit_of(text[i + 1]) * 16 + digit_of(text[i + 2])) : text[i];
    if (coded) i += 2;
  }
  return decoded;
}

/// Decodes the whole path up to two times, and then examines its segments with and without their parameters. The router does it
/// in another way.
void require_stays_below(std::string_view path) {
  std::string decoded(path);
  for (int times = 0; times < 3; ++times, decoded = decode(decoded)) {
    require(decoded.find('\0') == std::string::npos && decoded.find("\xc0\xae") == std::string::npos);
    for (std::size_t begin = 0; begin <= decoded.size();) {
      const std::size_t end = std::min(decoded.find_first_of("/\\", begin), decoded.size());
      const std::string_view segment = std::string_view(decoded).substr(begin, end - begin);
      const std::string_view bare = segment.substr(0, segment.find(';'));
      require(bare != "." && bare != "..");
      begin = end + 1;
    }
  }
}

bool has_encoded_slash(std::string_view path) {
  return path.find("%2F") != std::string_view::npos || path.find("%2f") != std::string_view::npos;
}

void try_route(const http::RequestHead& head, std::uint64_t random) {
  static const model::RoutingTable table = make_table();
  const Destination found = find_endpoint(table, head);
  if (!found.target) {
    require(found.target.error().origin == Origin::kDownstream);
    return;
  }
  require(found.endpoint != nullptr);
  const Result<model::Route> route = choose_deployment(*found.endpoint, *found.target, head, random);
  if (!route) {
    const bool has_slash = route.error().reason == Reason::kBadRequest && has_encoded_slash(found.target->rest);
    const bool names_two = head.fields.repeats(http::Field::kAzuremlModelDeployment);
    require(has_slash || names_two || route.error().reason == Reason::kDeploymentNotFound);
    return;
  }
  require(route->endpoint == found.endpoint && route->deployment != nullptr);
  require(route->path.starts_with('/') || route->path == "*");
  if (route->path != route->deployment->score_path) return;
  require(route->path_rest.empty() || route->path_rest.front() == '/');
  require(route->path_rest.empty() || fuzz::lies_within(route->path_rest, head.target));
  require(route->deployment->allow_encoded_slashes || !has_encoded_slash(route->path_rest));
  require_stays_below(route->path_rest);
}

}  // namespace
}  // namespace router::routing

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes = router::fuzz::text_of(data + 1, size - 1);
  router::http::RequestHead head;
  if (!router::http::parse_request(bytes, head)) return 0;
  for (const std::string_view part : {head.path, head.query, head.authority}) {
    router::fuzz::require(router::fuzz::lies_within(part, bytes) || part == "/");
  }
  router::routing::try_route(head, static_cast<std::uint64_t>(data[0]) << 32);
  return 0;
}

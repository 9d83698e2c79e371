#include "router/serving/replica_trouble.h"

#include <absl/strings/str_cat.h>

#include <map>
#include <string_view>
#include <utility>

namespace router::serving {
namespace {

constexpr std::size_t kCausesTold = 5;

/// Why the replica gets no requests; empty if it does.
std::string_view what_keeps(const LiveReplica& live) {
  if (live.terminating) return "terminating";
  if (!live.ready) return live.why.empty() ? std::string_view("not probed yet") : live.why;
  switch (live.condition.state) {
    case dispatch::Health::State::kWell: break;
    case dispatch::Health::State::kEjected: return "ejected for a while after repeated failures";
    case dispatch::Health::State::kRefusing: return "connection refused";
  }
  return {};
}

}  // namespace

std::string source_says_not_ready(const config::Deployment& settings) {
  return settings.adopt_azureml_pods ? "its Pod does not say that it is ready"
                                     : "its EndpointSlice does not say that it is ready";
}

std::shared_ptr<const std::string> trouble_of(const LiveDeployment& deployment,
                                              const std::vector<discovery::FileReplicas::Missing>& missing) {
  std::map<std::string_view, std::size_t> causes;
  for (const discovery::FileReplicas::Missing& each : missing) ++causes[each.told];
  for (const auto& [name, live] : deployment.replicas) {
    const std::string_view cause = what_keeps(live);
    if (!cause.empty()) ++causes[cause];
  }
  if (causes.empty()) return nullptr;
  const std::size_t replicas = deployment.replicas.size() + missing.size();
  std::string text = absl::StrCat("of ", replicas, replicas == 1 ? " replica" : " replicas");
  std::size_t told = 0;
  for (const auto& [cause, count] : causes) {
    if (told == kCausesTold) {
      absl::StrAppend(&text, "; and ", causes.size() - told, " other causes");
      break;
    }
    absl::StrAppend(&text, told++ == 0 ? ", " : "; ", count, ": ", std::string(cause));
  }
  return std::make_shared<const std::string>(std::move(text));
}

}  // namespace router::serving

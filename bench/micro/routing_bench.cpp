#include <benchmark/benchmark.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <string>

#include "router/auth/authenticate.h"
#include "router/routing/resolve.h"
#include "tests/support/messages.h"

/// Resolving a parsed head to its deployment, and authenticating the caller: what an exchange does before it needs a slot.
namespace router {
namespace {

using test::Request;
using test::request_text;

/// Endpoints `endpoint-0`, … each with two deployments and two keys.
model::RoutingTable make_table(std::int64_t endpoints) {
  model::RoutingTable table;
  for (std::int64_t number = 0; number < endpoints; ++number) {
    auto endpoint = std::make_unique<model::Endpoint>();
    endpoint->name = "endpoint-" + std::to_string(number);
    endpoint->keys = {{"0123456789abcdef0123456789abcdef"}, {"fedcba9876543210fedcba9876543210"}};
    for (const char* name : {"blue", "green"}) {
      auto deployment = std::make_unique<model::Deployment>();
      deployment->name = name;
      deployment->score_path = "/score";
      endpoint->deployments.push_back(std::move(deployment));
    }
    endpoint->traffic = {{90, endpoint->deployments[0].get()}, {100, endpoint->deployments[1].get()}};
    table.by_name[endpoint->name] = endpoint.get();
    table.by_host[endpoint->name + ".example"] = endpoint.get();
    table.endpoints.push_back(std::move(endpoint));
  }
  return table;
}

/// Number of endpoints, at most, that are requested at random. They are spread over the table, so that the nearest cache
/// cannot hold all of it.
constexpr std::int64_t kAsked = 512;

void resolve_all(benchmark::State& state, const std::string& fields) {
  const model::RoutingTable table = make_table(state.range(0));
  std::deque<Request> requests;
  const std::int64_t asked = std::min(kAsked, state.range(0));
  for (std::int64_t number = 0; number < asked; ++number) {
    const std::string name = "endpoint-" + std::to_string(number * state.range(0) / asked);
    requests.emplace_back(request_text("POST", "/api/v1/endpoint/" + name + "/score", fields));
  }
  std::uint64_t random = 1;
  for (auto _ : state) {
    random = random * 6364136223846793005ULL + 1442695040888963407ULL;
    const Request& request = requests[(random >> 40) % requests.size()];
    const routing::Destination found = routing::find_endpoint(table, request.head());
    if (!found.target) return state.SkipWithError("not found");
    const Result<model::Route> route = routing::choose_deployment(*found.endpoint, *found.target, request.head(), random);
    if (!route) return state.SkipWithError("no deployment");
    benchmark::DoNotOptimize(route->deployment);
  }
}

/// By scoring URI and traffic split. The argument is the number of endpoints.
void ResolveByUri(benchmark::State& state) { resolve_all(state, ""); }
BENCHMARK(ResolveByUri)->Arg(1)->Arg(100)->Arg(10'000);

/// The client names the deployment.
void ResolveNamedDeployment(benchmark::State& state) { resolve_all(state, "azureml-model-deployment: green\r\n"); }
BENCHMARK(ResolveNamedDeployment)->Arg(1)->Arg(100)->Arg(10'000);

void check_key(benchmark::State& state, const std::string& key, bool good) {
  const model::RoutingTable table = make_table(1);
  const Request request(request_text("POST", "/", "Authorization: Bearer " + key + "\r\n"));
  for (auto _ : state) {
    const Result<model::Caller> caller = auth::authenticate(request.head(), *table.endpoints[0]);
    if (caller.has_value() != good) return state.SkipWithError("wrong result");
  }
}
void CheckPrimaryKey(benchmark::State& state) { check_key(state, "0123456789abcdef0123456789abcdef", true); }
void CheckSecondaryKey(benchmark::State& state) { check_key(state, "fedcba9876543210fedcba9876543210", true); }
void CheckWrongKey(benchmark::State& state) { check_key(state, "0123456789abcdef0123456789abcdee", false); }
BENCHMARK(CheckPrimaryKey);
BENCHMARK(CheckSecondaryKey);
BENCHMARK(CheckWrongKey);

}  // namespace
}  // namespace router

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <iostream>
#include <random>

#include "router/discovery/cluster_join.h"
#include "tests/unit/discovery/cluster_world.h"

// Versions of objects, the order of their arrival, and large numbers of them.
namespace router::discovery {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST(ClusterJoin, KeepsTheLastGoodVersionOfAnObject) {
  World world;
  world.add_endpoint({.hostnames = {"a.example"}}).add_secret(keys_of_iris());
  world.add_endpoint({.hostnames = {"not a host name"}, .generation = 2});
  Joined joined = world.join();
  ASSERT_EQ(joined.endpoints.size(), 1u);
  EXPECT_EQ(joined.endpoints[0].hostnames, std::vector<std::string>{"a.example"});
  EXPECT_THAT(result_of(joined, "team-a", "iris"), AllOf(StartsWith("Invalid: "), HasSubstr("last good version")));
  EXPECT_TRUE(joined.results[0].served);
  EXPECT_EQ(joined.results[0].generation, 2);

  world.add_endpoint({.hostnames = {"b.example"}, .generation = 3});
  joined = world.join();
  EXPECT_EQ(joined.endpoints[0].hostnames, std::vector<std::string>{"b.example"});
  EXPECT_EQ(result_of(joined, "team-a", "iris"), "ok Accepted");
}

TEST(ClusterJoin, RefusesABadObjectByItself) {
  World world;
  world.add_endpoint({.name = "wine", .auth_mode = "handshake"}).add_endpoint(EndpointSpec{}).add_secret(keys_of_iris());
  const Joined joined = world.join();
  EXPECT_THAT(result_of(joined, "team-a", "wine"), StartsWith("Invalid: "));
  EXPECT_EQ(result_of(joined, "team-a", "iris"), "ok Accepted");
  EXPECT_EQ(joined.endpoints.size(), 1u);
}

TEST(ClusterJoin, KeepsNothingOfAnObjectThatWasMadeAnew) {
  World world;
  world.add_endpoint(EndpointSpec{});
  world.add_endpoint({.auth_mode = "handshake", .uid = "another"});
  EXPECT_TRUE(world.join().endpoints.empty());
}

/// The final objects of the property test, and for each some earlier versions that it may have had.
struct History {
  std::vector<std::function<void(World&)>> steps;  // to be run in this order
};

std::vector<History> histories() {
  std::vector<History> all;
  const auto endpoint = [&all](std::vector<EndpointSpec> versions) {
    History history;
    int generation = 0;
    for (EndpointSpec& each : versions) {
      each.generation = ++generation;
      history.steps.push_back([each](World& world) { world.add_endpoint(each); });
    }
    all.push_back(std::move(history));
  };
  const auto deployment = [&all](const DeploymentSpec& spec) {
    all.push_back({{[spec](World& world) { world.add_deployment(spec); }}});
  };
  endpoint({{.name = "iris", .created = kNew, .hostnames = {"x.example"}},
            {.name = "iris", .created = kNew, .traffic = {{"blue", 100}}}});
  endpoint({{.name = "iris", .namespace_name = "team-b", .created = kOld}});
  endpoint({{.name = "wine", .hostnames = {"w.example"}},
            {.name = "wine", .traffic = {{"red", 50}, {"white", 50}}, .hostnames = {"w.example"}}});
  endpoint({{.name = "beer", .namespace_name = "team-b", .created = kNew, .hostnames = {"w.example"}}});
  endpoint({{.name = "gone", .created = kOld, .hostnames = {"w.example"}}});
  all.back().steps.push_back([](World& world) { world.endpoints->removed(EndpointSpec{.name = "gone"}.object()); });
  deployment({.name = "blue"});
  deployment({.name = "blue", .namespace_name = "team-b"});
  deployment({.name = "red", .endpoint = "wine"});
  deployment({.name = "RED", .endpoint = "wine", .object_name = "another-red"});
  deployment({.name = "pale", .endpoint = "beer", .namespace_name = "team-b"});
  all.push_back({{[](World& world) {
                    world.add_secret(secret({{"primaryKey", "old"}}, "wine-keys"));
                  },
                  [](World& world) {
                    world.add_secret(secret({{"primaryKey", "new"}}, "wine-keys"));
                  }}});
  return all;
}

TEST(ClusterJoin, DoesNotDependOnTheOrderInWhichObjectsArrived) {
  const std::uint64_t seed = std::random_device{}();
  std::cout << "seed " << seed << '\n';
  std::mt19937_64 random(seed);
  std::string expected;
  std::vector<ReconcileResult> expected_results;
  for (int round = 0; round < 200; ++round) {
    World world;
    std::vector<History> left = histories();
    std::vector<std::size_t> next(left.size());
    std::vector<std::size_t> turns;
    for (std::size_t index = 0; index < left.size(); ++index) turns.insert(turns.end(), left[index].steps.size(), index);
    std::shuffle(turns.begin(), turns.end(), random);
    for (const std::size_t index : turns) {
      left[index].steps[next[index]++](world);
      if (random() % 4 == 0) (void)world.join();  // an earlier join has no effect on later ones
    }
    const Joined joined = world.join();
    if (round == 0) {
      expected = text_of(joined);
      expected_results = joined.results;
      EXPECT_THAT(expected,
                  AllOf(HasSubstr("team-b/iris"), HasSubstr("team-a/wine"), Not(HasSubstr("beer")), Not(HasSubstr("gone"))));
      EXPECT_EQ(joined.endpoints.back().keys.at(0).value, "new");
    }
    ASSERT_EQ(text_of(joined), expected);
    ASSERT_EQ(joined.results, expected_results);
  }
}

double milliseconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
}

TEST(ClusterJoin, IsQuickWithAThousandEndpoints) {
  constexpr int kEndpoints = 1000;
  constexpr int kPods = 10;  // of each
  World world;
  const auto pods = [](int index) {
    std::vector<Pod> all;
    for (int pod = 0; pod < kPods; ++pod) {
      all.push_back({absl::StrCat("10.", index / 250, ".", index % 250, ".", pod + 1), absl::StrCat("uid-", index, "-", pod)});
    }
    return all;
  };
  auto begin = std::chrono::steady_clock::now();
  for (int index = 0; index < kEndpoints; ++index) {
    const std::string name = absl::StrCat("endpoint-", index);
    world.add_endpoint({.name = name, .traffic = {{"blue", 100}}, .hostnames = {name + ".example"}})
        .add_deployment({.name = "blue", .endpoint = name});
    world.add_slice(SliceSpec{.pods = pods(index), .name = name + "-blue-x", .service = name + "-blue"});
    world.add_secret(secret({{"primaryKey", "one"}}, name + "-keys"));
  }
  const double read = milliseconds_since(begin);
  begin = std::chrono::steady_clock::now();
  const Joined joined = world.join();
  const double join = milliseconds_since(begin);
  std::size_t found = 0;
  begin = std::chrono::steady_clock::now();
  for (const config::Endpoint& endpoint : joined.endpoints) {
    found += find_slice_replicas(world.state.cluster(), world.rules, world.avoided, endpoint.deployments.at(0)).replicas.size();
  }
  const double replicas = milliseconds_since(begin);
  EXPECT_EQ(found, std::size_t{kEndpoints} * kPods);
  (void)world.state.take_changes();
  begin = std::chrono::steady_clock::now();
  world.add_slice(SliceSpec{.pods = {{"10.200.0.1", "another"}}, .name = "endpoint-7-blue-x", .service = "endpoint-7-blue"});
  const ClusterState::Changes changes = world.state.take_changes();
  EXPECT_EQ(find_slice_replicas(world.state.cluster(), world.rules, world.avoided, joined.endpoints.at(0).deployments.at(0))
                .replicas.size(),
            std::size_t{kPods});
  const double one = milliseconds_since(begin);
  EXPECT_FALSE(changes.resources);
  EXPECT_EQ(changes.services.size(), 1u);
  std::cout << "read " << read << " ms, join " << join << " ms, all replicas " << replicas << " ms, one slice " << one
            << " ms\n";
  EXPECT_LT(join + replicas, 5000);
  EXPECT_LT(one, 500);
}

}  // namespace
}  // namespace router::discovery

#include "router/discovery/cluster_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/discovery/cluster_world.h"

namespace router::discovery {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Kind = ClusterState::Kind;

TEST(ClusterState, TellsSlicesFromEverythingElse) {
  World world;
  world.add_endpoint(EndpointSpec{});
  EXPECT_TRUE(world.state.take_changes().resources);
  world.add_slice(SliceSpec{.pods = {{"10.0.0.1"}}});
  ClusterState::Changes changes = world.state.take_changes();
  EXPECT_FALSE(changes.resources);
  EXPECT_THAT(changes.services, ElementsAre(ObjectKey{"team-a", "iris-blue"}));
  world.add_secret(secret({{"primaryKey", "one"}}));
  EXPECT_TRUE(world.state.take_changes().resources);
  world.slices->removed(SliceSpec{}.object());
  EXPECT_THAT(world.state.take_changes().services, ElementsAre(ObjectKey{"team-a", "iris-blue"}));
  EXPECT_THAT(world.state.cluster().services, IsEmpty());
  EXPECT_FALSE(any(world.state.take_changes()));
}

TEST(ClusterState, TellsOnceUntilItIsAsked) {
  World world;
  world.add_endpoint(EndpointSpec{}).add_deployment(DeploymentSpec{}).add_slice(SliceSpec{});
  EXPECT_EQ(world.told, 1);
  (void)world.state.take_changes();
  world.add_deployment(DeploymentSpec{.name = "green"});
  EXPECT_EQ(world.told, 2);
}

TEST(ClusterState, TellsAChangeAgainThatCouldNotBeTold) {
  int told = 0;
  ClusterState state([&told] {
    if (++told == 1) throw std::bad_alloc();
  });
  const auto slices = state.watcher({.kind = Kind::kSlices, .namespace_name = "team-a", .name = ""});
  EXPECT_THROW(slices->changed(SliceSpec{.pods = {{"10.0.0.1"}}}.object()), std::bad_alloc);
  slices->listed({SliceSpec{.pods = {{"10.0.0.1"}}}.object()});  // a Reflector lists again in this case
  EXPECT_EQ(told, 2);
  EXPECT_THAT(state.take_changes().services, ElementsAre(ObjectKey{"team-a", "iris-blue"}));
  EXPECT_EQ(state.cluster().services.size(), 1u);
}

TEST(ClusterState, TakesAChangedStatusForNoChange) {
  World world;
  world.add_endpoint(EndpointSpec{}).add_slice(SliceSpec{.pods = {{"10.0.0.1"}}});
  (void)world.state.take_changes();
  json::object with_status = EndpointSpec{}.object();
  with_status["status"] = {{"provisioning_state", "Succeeded"}};
  world.endpoints->changed(with_status);
  json::object with_label = SliceSpec{.pods = {{"10.0.0.1"}}}.object();
  with_label["metadata"].as_object()["annotations"] = {{"a", "b"}};
  world.slices->changed(with_label);
  const ClusterState::Changes changes = world.state.take_changes();
  EXPECT_FALSE(changes.resources);
  EXPECT_THAT(changes.services, IsEmpty());
}

TEST(ClusterState, KeepsTheStatusThatIsShownAndTellsWhenItChanges) {
  World world;
  const auto show = [&](const char* version, const char* traffic) {
    json::object object = EndpointSpec{}.object();
    object["metadata"].as_object()["resourceVersion"] = version;
    object["status"] = {{"traffic", traffic}};
    world.endpoints->changed(object);
    return world.state.take_changes();
  };
  EXPECT_TRUE(show("1", "blue=1").resources);
  const ClusterState::Changes other = show("2", "blue=2");
  EXPECT_TRUE(other.statuses && any(other));
  EXPECT_FALSE(other.resources);
  EXPECT_FALSE(any(show("3", "blue=2")));
  const auto& shown = world.state.cluster().endpoints.at({"team-a", "iris"});
  EXPECT_EQ(shown.version, "3");
  EXPECT_EQ(shown.status.at("traffic"), "blue=2");
}

TEST(ClusterState, MovesASliceToAnotherService) {
  World world;
  world.add_slice(SliceSpec{.pods = {{"10.0.0.1"}}});
  (void)world.state.take_changes();
  world.add_slice(SliceSpec{.pods = {{"10.0.0.1"}}, .service = "iris-green"});
  EXPECT_THAT(world.state.take_changes().services,
              ElementsAre(ObjectKey{"team-a", "iris-blue"}, ObjectKey{"team-a", "iris-green"}));
  EXPECT_THAT(world.replicas().replicas, IsEmpty());
}

TEST(ClusterState, TellsWhosePodsHaveChanged) {
  World world;
  const ObjectKey blue{"team-a", "iris/blue"};
  world.add_pod({.endpoint = "Iris"});
  ClusterState::Changes changes = world.state.take_changes();
  EXPECT_FALSE(changes.resources);
  EXPECT_THAT(changes.services, IsEmpty());
  EXPECT_THAT(changes.pods, ElementsAre(blue));
  json::object annotated = PodSpec{}.object();
  annotated["metadata"].as_object()["annotations"] = {{"a", "b"}};
  world.pods->changed(annotated);
  EXPECT_FALSE(any(world.state.take_changes())) << "a field that the router does not use is no change";
  world.add_pod({.ready = "False"});
  EXPECT_THAT(world.state.take_changes().pods, ElementsAre(blue));
  world.add_pod({.deployment = "green"});
  EXPECT_THAT(world.state.take_changes().pods, ElementsAre(blue, ObjectKey{"team-a", "iris/green"}));
  EXPECT_THAT(world.adopted().replicas, IsEmpty());
  world.pods->removed(PodSpec{.deployment = "green"}.object());
  EXPECT_THAT(world.state.take_changes().pods, ElementsAre(ObjectKey{"team-a", "iris/green"}));
  EXPECT_THAT(world.state.cluster().pods, IsEmpty());
}

TEST(ClusterState, ForgetsPodsThatANewListDoesNotHave) {
  World world;
  world.add_pod({}).add_pod({.name = "pod-2", .uid = "two"});
  world.pods->listed({PodSpec{.name = "pod-2", .uid = "two"}.object()});
  EXPECT_EQ(texts(world.adopted()), Texts{"two:5001@10.0.0.1:5001+"});
}

TEST(ClusterState, ForgetsWhatANewListDoesNotHave) {
  World world;
  world.add_endpoint({.name = "iris"})
      .add_endpoint({.name = "wine"})
      .add_slice(SliceSpec{})
      .add_slice(SliceSpec{.name = "another"});
  world.endpoints->listed({EndpointSpec{.name = "wine"}.object()});
  world.slices->listed({SliceSpec{.name = "another"}.object()});
  EXPECT_EQ(world.state.cluster().endpoints.size(), 1u);
  EXPECT_TRUE(world.state.cluster().endpoints.contains({"team-a", "wine"}));
  EXPECT_EQ(world.state.cluster().services.at({"team-a", "iris-blue"}).count("another"), 1u);
  EXPECT_EQ(world.state.cluster().services.at({"team-a", "iris-blue"}).size(), 1u);
}

TEST(ClusterState, TakesASecretWithTheSameKeysForNoChange) {
  World world;
  world.add_secret(secret({{"primaryKey", "one"}}));
  (void)world.state.take_changes();
  json::object again = secret({{"primaryKey", "one"}});
  again["metadata"].as_object()["labels"] = {{"a", "b"}};
  again["metadata"].as_object()["resourceVersion"] = "7";
  world.add_secret(again);
  ClusterState::Changes changes = world.state.take_changes();
  EXPECT_FALSE(changes.resources);
  EXPECT_TRUE(changes.statuses) << "a patch that adds a generated key sends this version";
  EXPECT_EQ(world.state.cluster().secrets.begin()->second.version, "7");
  world.add_secret(secret({{"primaryKey", "two"}}));
  EXPECT_TRUE(world.state.take_changes().resources);
  world.add_secret(secret({{"primaryKey", "two"}, {"secondaryKey", ""}}));
  EXPECT_TRUE(world.state.take_changes().resources);
}

TEST(ClusterState, ForgetsNothingOfAnotherScope) {
  ClusterState state(nullptr);
  const auto a = state.watcher({Kind::kEndpoints, "team-a", ""});
  const auto b = state.watcher({Kind::kEndpoints, "team-b", ""});
  const auto one = state.watcher({Kind::kSecrets, "team-a", "iris-keys"});
  const auto other = state.watcher({Kind::kSecrets, "team-a", "wine-keys"});
  a->changed(EndpointSpec{}.object());
  b->changed(EndpointSpec{.namespace_name = "team-b"}.object());
  one->changed(secret({{"primaryKey", "one"}}));
  other->changed(secret({{"primaryKey", "one"}}, "wine-keys"));
  b->listed({});
  one->listed({});
  EXPECT_TRUE(state.cluster().endpoints.contains({"team-a", "iris"}));
  EXPECT_EQ(state.cluster().endpoints.size(), 1u);
  EXPECT_TRUE(state.cluster().secrets.contains({"team-a", "wine-keys"}));
  EXPECT_EQ(state.cluster().secrets.size(), 1u);
}

TEST(ClusterState, SaysWhichKindsAreNotListedYet) {
  ClusterState state(nullptr);
  const auto a = state.watcher({Kind::kEndpoints, "team-a", ""});
  const auto b = state.watcher({Kind::kEndpoints, "team-b", ""});
  auto slices = state.watcher({Kind::kSlices, "", ""});
  EXPECT_THAT(state.not_listed(), ElementsAre("EndpointSlice", "OnlineEndpoint"));
  a->listed({});
  EXPECT_THAT(state.not_listed(), ElementsAre("EndpointSlice", "OnlineEndpoint"));
  EXPECT_TRUE(any(state.take_changes())) << "an empty list is a change, too";
  b->listed({});
  slices->listed({});
  EXPECT_THAT(state.not_listed(), IsEmpty());
}

TEST(ClusterState, LetsAReplacedKeyEnd) {
  World world;
  world.add_endpoint(EndpointSpec{}).add_secret(secret({{"primaryKey", "one"}}));
  world.add_secret(secret({{"primaryKey", "o n e"}}));
  EXPECT_THAT(world.join().endpoints.at(0).keys, IsEmpty());
  world.state.forget_secret({"team-a", "iris-keys"});
  EXPECT_THAT(world.state.cluster().secrets, IsEmpty());
}

TEST(ClusterState, SurvivesObjectsThatAreNotWhatTheyShouldBe) {
  World world;
  const json::value odd = json::parse(R"([{}, {"metadata": 1}, {"metadata": {"name": 1, "labels": []}, "endpoints": {}},
    {"metadata": {"name": "x", "namespace": "y"}, "ports": [1, {"port": "a"}], "endpoints": [1, {}, {"addresses": [1]}, {"addresses": []}]},
    {"metadata": {"name": "x", "namespace": "y", "labels": {"ml.azure.com/endpoint-name": 1}},
     "status": {"podIPs": [1, {}, {"ip": 1}], "conditions": [1, {"type": 1}], "phase": []}, "spec": {"hostNetwork": "no"}},
    {"metadata": {"name": "x", "namespace": "y"}, "data": [1]}, {"data": {"primaryKey": 1, "secondaryKey": "%"}}])");
  for (const json::value& each : odd.as_array()) {
    for (kubernetes::Watcher* watcher :
         {world.endpoints.get(), world.deployments.get(), world.slices.get(), world.pods.get(), world.secrets.get()}) {
      watcher->changed(each.as_object());
    }
  }
  EXPECT_THAT(world.join().endpoints, IsEmpty());
}

/// The resources of one namespace are far beyond its limit of bytes. The router held six times the size of their JSON.
TEST(ClusterState, KeptWhateverOneNamespaceWrote) {
  ClusterState state([] {}, 5'000);
  const auto watcher = state.watcher({ClusterState::Kind::kDeployments, "", ""});
  const auto giant = [](const std::string& name, std::size_t bytes, int generation = 1) {
    json::object object = DeploymentSpec{.name = name, .generation = generation}.object();
    object["spec"].as_object()["tags"] = {{"large", std::string(bytes, 'x')}};
    return object;
  };
  const auto resource = [&state](const std::string& name) {
    return state.cluster().deployments.at({"team-a", "iris-" + name});
  };
  watcher->changed(giant("blue", 3'000));
  EXPECT_TRUE(resource("blue").good->deployment.tags.empty()) << "nothing uses them";
  watcher->changed(giant("green", 3'000));
  EXPECT_FALSE(resource("green").good) << "the namespace's room is used up";
  EXPECT_TRUE(resource("green").dropped);
  watcher->changed(giant("blue", 9'000, 2));
  EXPECT_TRUE(resource("blue").good) << "the last good version stays";
  EXPECT_THAT(resource("blue").refused, testing::HasSubstr("max_bytes"));
  EXPECT_FALSE(state.take_room());
  watcher->changed(giant("blue", 100, 3));
  EXPECT_TRUE(state.take_room()) << "the dropped resource has to be listed again";
  EXPECT_FALSE(state.take_room());
  watcher->listed({giant("blue", 100, 3), giant("green", 3'000)});
  EXPECT_TRUE(resource("green").good) << "although its generation is the same";
  watcher->removed(giant("green", 3'000));
  watcher->changed(giant("red", 4'000));
  EXPECT_TRUE(resource("red").good) << "a removed resource frees its room";
}

TEST(ClusterState, TakesOfANamespacesSecretsOnlyThoseThatAreNamed) {
  ClusterState state([] {});
  const auto names = std::make_shared<std::set<std::string>>(std::set<std::string>{"iris-keys", "rose-keys"});
  const auto watcher = state.watcher({ClusterState::Kind::kSecrets, "team-a", "", names});
  watcher->listed({secret({{"primaryKey", "key-one-of-iris"}}), secret({{"primaryKey", "key-of-others"}}, "others")});
  EXPECT_EQ(state.cluster().secrets.size(), 1u);
  watcher->changed(secret({{"primaryKey", "key-of-others"}}, "others"));
  watcher->changed(secret({{"primaryKey", "key-one-of-rose"}}, "rose-keys"));
  EXPECT_EQ(state.cluster().secrets.size(), 2u);
  watcher->listed({secret({{"primaryKey", "key-one-of-iris"}})});
  EXPECT_EQ(state.cluster().secrets.size(), 1u) << "it is gone";
}

}  // namespace
}  // namespace router::discovery

#include "router/discovery/pod_replicas.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/discovery/cluster_world.h"

namespace router::discovery {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

TEST(PodReplicas, AreThePodsWhoseLabelsNameTheDeployment) {
  World world;
  world.add_pod({}).add_pod({.name = "pod-2", .uid = "two", .addresses = {"10.0.0.2"}});
  world.add_pod({.name = "green", .uid = "green", .deployment = "green"});
  world.add_pod({.name = "wine", .uid = "wine", .endpoint = "wine"});
  world.add_pod({.name = "of-another", .uid = "of-another", .namespace_name = "team-b"});
  const FoundReplicas found = world.adopted();
  EXPECT_EQ(texts(found), (Texts{"one:5001@10.0.0.1:5001+", "two:5001@10.0.0.2:5001+"}));
  EXPECT_EQ(found.refused, "");
  EXPECT_EQ(found.reason, "");
}

TEST(PodReplicas, ComparesNamesWithoutCase) {
  World world;
  world.add_pod({.endpoint = "Iris", .deployment = "BLUE"});
  EXPECT_EQ(world.adopted({.name = "Blue", .adopts = true}).replicas.size(), 1u);
}

TEST(PodReplicas, ListenOnThePortOfTheScoringRoute) {
  World world;
  world.add_pod({});
  json::object object = DeploymentSpec{.adopts = true}.object();
  object["spec"].as_object()["environment"] = {
      {"inference_config", {{"scoring_route", {{"port", 8501}}}, {"readiness_route", {{"port", 8080}, {"path", "/"}}}}}};
  config::Findings findings;
  const config::Deployment deployment = config::read_deployment_resource(object, findings).deployment;
  const FoundReplicas found = find_pod_replicas(world.state.cluster(), world.rules, world.avoided, deployment);
  EXPECT_EQ(texts(found), Texts{"one:8501@10.0.0.1:8501+"});
  EXPECT_EQ(found.replicas[0].probe_address.text(), "10.0.0.1:8080");
}

TEST(PodReplicas, AreTheSameAsTheSlicesOfAServiceShow) {
  World world;
  world.add_pod({.addresses = {"fd00::1", "10.0.0.1"}});
  world.add_slice({.pods = {{"10.0.0.1", "one"}}});
  EXPECT_EQ(world.adopted().replicas, world.replicas().replicas);
  EXPECT_EQ(texts(world.adopted()), Texts{"one:5001@10.0.0.1:5001+"}) << "IPv4 is preferred";
}

struct StateCase {
  const char* about;
  PodSpec pod;
  std::string mark;  // empty: no replica, and no refusal
};

TEST(PodReplicas, ReadTheStateOfAPodAsKubernetesMeansIt) {
  const std::vector<StateCase> cases{
      {"ready", {}, "+"},
      {"not ready", {.ready = "False"}, "-"},
      {"its node does not answer", {.ready = "Unknown"}, "-"},
      {"it has no such condition", {.ready = ""}, "-"},
      {"it ends, and is still ready", {.terminating = true}, "x"},
      {"it ends", {.ready = "False", .terminating = true}, "x"},
      {"it has no address yet", {.addresses = {}, .ready = "False", .phase = "Pending"}, ""},
      {"it has failed", {.ready = "False", .phase = "Failed"}, ""},
      {"it has ended", {.ready = "False", .terminating = true, .phase = "Succeeded"}, ""},
  };
  for (const StateCase& each : cases) {
    SCOPED_TRACE(each.about);
    World world;
    world.add_pod(each.pod);
    const FoundReplicas found = world.adopted();
    EXPECT_EQ(texts(found), each.mark.empty() ? Texts{} : Texts{"one:5001@10.0.0.1:5001" + each.mark});
    EXPECT_EQ(found.refused, "");
  }
}

TEST(PodReplicas, RefuseAddressesThatNoPodHas) {
  for (const char* address : {"127.0.0.1", "0.0.0.0", "169.254.169.254", "224.0.0.1", "255.255.255.255", "localhost", "", "::1",
                              "::", "fe80::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1"}) {
    SCOPED_TRACE(address);
    World world;
    world.add_pod({.addresses = {address}});
    const FoundReplicas found = world.adopted();
    EXPECT_THAT(found.replicas, IsEmpty());
    EXPECT_EQ(found.refused, absl::StrCat("Pod pod-1: a Pod cannot have the address `", address, "`"));
    EXPECT_EQ(found.reason, reason::kPodsRefused);
  }
}

TEST(PodReplicas, RefuseTheNetworkOfANode) {
  World world;
  world.add_pod({.on_host_network = true}).add_pod({.name = "pod-2", .uid = "two"});
  const FoundReplicas found = world.adopted();
  EXPECT_EQ(texts(found), Texts{"two:5001@10.0.0.1:5001+"});
  EXPECT_THAT(found.refused, HasSubstr("Pod pod-1: it shares the network of its node (hostNetwork)"));
}

TEST(PodReplicas, RefuseWhatCannotBeToldApart) {
  World world;
  world.add_pod({.uid = ""});
  EXPECT_THAT(world.adopted().replicas, IsEmpty());
  EXPECT_EQ(world.adopted().refused, "Pod pod-1: it has no uid");
}

TEST(PodReplicas, TellOnlyAFewOfManyMistakes) {
  World world;
  for (int i = 0; i < 100; ++i) world.add_pod({.name = absl::StrCat("pod-", i), .addresses = {"127.0.0.1"}});
  EXPECT_THAT(world.adopted().refused, HasSubstr("and 95 more"));
}

}  // namespace
}  // namespace router::discovery

#include "router/discovery/slice_replicas.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/discovery/cluster_world.h"

namespace router::discovery {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

TEST(SliceReplicas, KnowsAPodByItsUid) {
  World world;
  world.add_slice(SliceSpec{.pods = {{"10.0.0.1", "one"}, {"10.0.0.2", "two"}}});
  const FoundReplicas found = world.replicas();
  EXPECT_EQ(texts(found), (Texts{"one:5001@10.0.0.1:5001+", "two:5001@10.0.0.2:5001+"}));
  EXPECT_EQ(found.replicas[0].name, "10.0.0.1:5001");
  EXPECT_EQ(found.replicas[0].host, "10.0.0.1");
  EXPECT_EQ(found.replicas[0].probe_address.text(), "10.0.0.1:5001");
  EXPECT_EQ(found.refused, "");
}

struct ConditionCase {
  const char* about;
  json::object conditions;
  char mark;
};

TEST(SliceReplicas, ReadsConditionsAsKubernetesMeansThem) {
  const std::vector<ConditionCase> cases{
      {"nothing is said", {}, '+'},
      {"ready", {{"ready", true}}, '+'},
      {"not ready", {{"ready", false}}, '-'},
      {"null is as if it were not there", {{"ready", nullptr}, {"terminating", nullptr}}, '+'},
      {"it ends, and still serves", {{"ready", false}, {"serving", true}, {"terminating", true}}, 'x'},
      {"it ends, although it is said to be ready", {{"ready", true}, {"terminating", true}}, 'x'},
      {"it serves, but is not ready", {{"ready", false}, {"serving", true}, {"terminating", false}}, '-'},
  };
  for (const ConditionCase& each : cases) {
    SCOPED_TRACE(each.about);
    World world;
    world.add_slice(SliceSpec{.pods = {{.address = "10.0.0.1", .uid = "one", .conditions = each.conditions}}});
    EXPECT_EQ(texts(world.replicas()), Texts{std::string("one:5001@10.0.0.1:5001") + each.mark});
  }
}

TEST(SliceReplicas, CountsAPodOnceHoweverManySlicesShowIt) {
  World world;
  world.add_slice(SliceSpec{.pods = {{"fd00::1", "one"}}, .name = "a", .address_type = "IPv6"});
  world.add_slice(SliceSpec{.pods = {{"10.0.0.1", "one"}}, .name = "b"});
  world.add_slice(SliceSpec{.pods = {{"10.0.0.1", "one"}}, .name = "c"});
  EXPECT_EQ(texts(world.replicas()), Texts{"one:5001@10.0.0.1:5001+"}) << "IPv4 is preferred";
  world.add_slice(SliceSpec{.pods = {{.address = "10.0.0.1", .uid = "one", .conditions = {{"ready", false}}}}, .name = "c"});
  EXPECT_EQ(texts(world.replicas()), Texts{"one:5001@10.0.0.1:5001-"}) << "usable only if all slices say so";
  world.add_slice(SliceSpec{.pods = {}, .name = "b"}).add_slice(SliceSpec{.pods = {}, .name = "c"});
  EXPECT_EQ(texts(world.replicas()), Texts{"one:5001@[fd00::1]:5001+"});
}

TEST(SliceReplicas, IsAnotherReplicaWithAnotherUidOnTheSameAddress) {
  World world;
  world.add_slice(SliceSpec{.pods = {{"10.0.0.1", "one"}}});
  const std::string before = world.replicas().replicas.at(0).identity;
  world.add_slice(SliceSpec{.pods = {{"10.0.0.1", "two"}}});
  EXPECT_NE(world.replicas().replicas.at(0).identity, before);
}

struct PortCase {
  const char* about;
  json::array ports;
  std::string wanted;
  std::string address;  // empty: no replica
};

TEST(SliceReplicas, FindsThePort) {
  const json::object http{{"name", "http"}, {"port", 8080}, {"protocol", "TCP"}};
  const json::object grpc{{"name", "grpc"}, {"port", 5001}, {"protocol", "TCP"}};
  const std::vector<PortCase> cases{
      {"by name", {grpc, http}, "http", "10.0.0.1:8080"},
      {"by number", {grpc, http}, "8080", "10.0.0.1:8080"},
      {"by default the scoring route's", {http, grpc}, "", "10.0.0.1:5001"},
      {"of another name", {http}, "rest", ""},
      {"of another number", {http}, "", ""},
      {"of UDP", {{{"name", "http"}, {"port", 8080}, {"protocol", "UDP"}}}, "http", ""},
      {"of no protocol, which means TCP", {{{"name", "http"}, {"port", 8080}}}, "http", "10.0.0.1:8080"},
      {"without number", {{{"name", "http"}, {"port", nullptr}}}, "http", ""},
      {"that is none", {{{"name", "http"}, {"port", 65536}}}, "http", ""},
  };
  for (const PortCase& each : cases) {
    SCOPED_TRACE(each.about);
    World world;
    world.add_slice(SliceSpec{.pods = {{"10.0.0.1", "one"}}, .ports = each.ports});
    const FoundReplicas found = world.replicas(each.wanted);
    if (each.address.empty()) {
      EXPECT_THAT(found.replicas, IsEmpty());
      EXPECT_THAT(found.refused, HasSubstr("it has no port"));
    } else {
      ASSERT_EQ(found.replicas.size(), 1u);
      EXPECT_EQ(found.replicas[0].address.text(), each.address);
    }
  }
}

struct BeliefCase {
  const char* about;
  Pod pod;
  std::string managed_by;
  bool allow_custom;
  bool believed;
};

TEST(SliceReplicas, BelievesPodsOfItsOwnNamespaceOnly) {
  const std::string controller = "endpointslice-controller.k8s.io";
  const std::vector<BeliefCase> cases{
      {"a Pod, told by the controller", {"10.0.0.1"}, controller, false, true},
      {"a Pod of another namespace", {"10.0.0.1", "uid", "team-b"}, controller, false, false},
      {"a Pod of another namespace, custom slices allowed", {"10.0.0.1", "uid", "team-b"}, "", true, false},
      {"a Pod without namespace", {"10.0.0.1", "uid", ""}, controller, false, false},
      {"a Pod without uid", {"10.0.0.1", ""}, controller, false, false},
      {"a Pod without uid, custom slices allowed", {"10.0.0.1", ""}, "", true, false},
      {"nobody's address", {"10.0.0.1", "", "", {}, ""}, controller, false, false},
      {"written by hand", {"10.0.0.1"}, "", false, false},
      {"written by another controller", {"10.0.0.1"}, "endpointslicemirroring-controller.k8s.io", false, false},
      {"written by hand, and allowed", {"10.0.0.1"}, "", true, true},
      {"nobody's address, and allowed", {"10.0.0.1", "", "", {}, ""}, "", true, true},
      {"a machine's, and allowed", {"10.0.0.1", "", "", {}, "Node"}, "", true, true},
      {"a machine's", {"10.0.0.1", "", "", {}, "Node"}, controller, false, false},
      {"something of another namespace, custom slices allowed", {"10.0.0.1", "", "team-b", {}, "Thing"}, "", true, false},
  };
  for (const BeliefCase& each : cases) {
    SCOPED_TRACE(each.about);
    World world;
    world.rules.allow_custom_endpoint_slices = each.allow_custom;
    world.add_slice(SliceSpec{.pods = {each.pod}, .managed_by = each.managed_by});
    const FoundReplicas found = world.replicas();
    EXPECT_EQ(found.replicas.size(), each.believed ? 1u : 0u);
    EXPECT_EQ(found.refused.empty(), each.believed) << found.refused;
  }
}

TEST(SliceReplicas, KnowsAnAddressWithoutPodByItself) {
  World world;
  world.rules.allow_custom_endpoint_slices = true;
  world.add_slice(SliceSpec{.pods = {{.address = "10.0.0.1", .kind = ""}}});
  EXPECT_EQ(texts(world.replicas()), Texts{"10.0.0.1:5001@10.0.0.1:5001+"});
}

TEST(SliceReplicas, RefusesAddressesThatNoPodHas) {
  for (const char* address : {"127.0.0.1", "127.8.8.8", "0.0.0.0", "0.1.2.3", "169.254.169.254", "224.0.0.1", "255.255.255.255",
                              "240.0.0.1", "localhost", "10.0.0.1.example", "", "10.0.0.256", "fd00::1"}) {
    SCOPED_TRACE(address);
    World world;
    world.add_slice(SliceSpec{.pods = {{address}}});
    EXPECT_THAT(world.replicas().replicas, IsEmpty());
    EXPECT_THAT(world.replicas().refused, HasSubstr("a Pod cannot have"));
  }
  for (const char* address :
       {"::1", "::", "fe80::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::7f00:1", "fe80::1%eth0", "10.0.0.1"}) {
    SCOPED_TRACE(address);
    World world;
    world.add_slice(SliceSpec{.pods = {{address}}, .address_type = "IPv6"});
    EXPECT_THAT(world.replicas().replicas, IsEmpty());
    EXPECT_THAT(world.replicas().refused, HasSubstr("a Pod cannot have"));
  }
}

TEST(SliceReplicas, RefusesNames) {
  World world;
  world.add_slice(SliceSpec{.pods = {{"pod.example"}}, .address_type = "FQDN"});
  EXPECT_THAT(world.replicas().replicas, IsEmpty());
  EXPECT_THAT(world.replicas().refused, HasSubstr("addressType"));
}

TEST(SliceReplicas, TellsOnlyAFewOfManyMistakes) {
  World world;
  world.add_slice(SliceSpec{.pods = std::vector<Pod>(100, {"127.0.0.1"})});
  EXPECT_THAT(world.replicas().refused, HasSubstr("and 95 more"));
}

TEST(SliceReplicas, TakesNothingFromTheServiceOfAnotherNamespace) {
  World world;
  world.add_slice(SliceSpec{.pods = {{.address = "10.0.0.1", .namespace_name = "team-b"}}, .namespace_name = "team-b"});
  EXPECT_THAT(world.replicas().replicas, IsEmpty());
}

/// A client that may write a slice with the controller's label made the router connect to any of these addresses.
TEST(SliceReplicas, WereBelievedWhereverTheyLead) {
  World world;
  world.avoided.own = OwnAddresses({*runtime::Address::parse("0.0.0.0", 5001)}, {"10.0.0.9", "10.0.0.10"});
  world.avoided.api_server = {"10.96.0.1"};
  json::object about = metadata("default", "kubernetes", "api");
  about["labels"] = {{"kubernetes.io/service-name", "kubernetes"}};
  world.slices->changed(
      {{"metadata", about},
       {"addressType", "IPv4"},
       {"endpoints", {json::object{{"addresses", {"192.168.0.2"}}}, json::object{{"addresses", {"192.168.0.3"}}}}},
       {"ports", {json::object{{"name", "https"}, {"port", 5001}}}}});
  const std::vector<std::pair<std::string, std::string>> refused{{"127.0.0.1", "cannot have the address"},
                                                                 {"169.254.169.254", "cannot have the address"},
                                                                 {"10.0.0.9", "where the router itself listens"},
                                                                 {"10.96.0.1", "is the API server's"},
                                                                 {"192.168.0.3", "is the API server's"}};
  for (const auto& [address, told] : refused) {
    world.add_slice(SliceSpec{.pods = {{address, "one"}, {"10.0.0.1", "two"}}});
    const FoundReplicas found = world.replicas();
    EXPECT_EQ(texts(found), Texts{"two:5001@10.0.0.1:5001+"}) << address;
    EXPECT_THAT(found.refused, HasSubstr(told)) << address;
    EXPECT_EQ(found.reason, reason::kSlicesRefused);
  }
  world.avoided.own = OwnAddresses({*runtime::Address::parse("0.0.0.0", 8080)}, {"10.0.0.9"});
  world.add_slice(SliceSpec{.pods = {{"10.0.0.9", "one"}}});
  EXPECT_THAT(world.replicas().refused, HasSubstr("is the router's own")) << "even if another program listens there";
  world.rules.allow_custom_endpoint_slices = true;
  EXPECT_EQ(texts(world.replicas()), Texts{"one:5001@10.0.0.9:5001+"})
      << "the operator may mean programs on the router's machine";
}

TEST(SliceReplicas, CouldReferToAPodAndNameAnothersAddress) {
  World world;
  world.rules.check_pod_addresses = true;
  world.add_slice(SliceSpec{.pods = {{"10.0.0.1", "one"}}});
  EXPECT_THAT(world.replicas().refused, HasSubstr("refers to a Pod that is not there"));
  world.add_pod({.uid = "one", .addresses = {}});
  EXPECT_EQ(world.replicas().refused, "") << "the Pod's address will be known soon";
  EXPECT_THAT(world.replicas().replicas, IsEmpty());
  world.state.take_changes();
  world.add_pod({.uid = "one", .addresses = {"10.0.0.2", "10.0.0.1"}});
  EXPECT_EQ(world.state.take_changes().pod_namespaces, std::set<std::string>{"team-a"});
  EXPECT_EQ(texts(world.replicas()), Texts{"one:5001@10.0.0.1:5001+"});
  world.add_pod({.name = "of-another", .uid = "two", .addresses = {"10.0.0.3"}, .namespace_name = "team-b"});
  world.add_slice(SliceSpec{.pods = {{"10.0.0.3", "one"}}});
  EXPECT_THAT(world.replicas().refused, HasSubstr("is not that of the Pod to which it refers"));
  world.add_slice(SliceSpec{.pods = {{"10.0.0.3", "two"}}});
  EXPECT_THAT(world.replicas().refused, HasSubstr("refers to a Pod that is not there")) << "not in this namespace";
  world.add_slice(SliceSpec{.pods = {{"10.0.0.1", "one"}}});
  world.pods->removed(PodSpec{.uid = "one"}.object());
  EXPECT_THAT(world.replicas().replicas, IsEmpty());
  world.rules.check_pod_addresses = false;
  EXPECT_EQ(world.replicas().replicas.size(), 1u);
}

TEST(SliceReplicas, OfAnotherAuthorInDefaultCouldHaveAnyonesPodsRefused) {
  World world;
  json::object about = metadata("default", "mine", "mine");
  about["labels"] = {{"kubernetes.io/service-name", "kubernetes"}};
  world.slices->changed({{"metadata", about},
                         {"addressType", "IPv4"},
                         {"endpoints", {json::object{{"addresses", {"10.0.0.1"}}}}},
                         {"ports", {json::object{{"name", "https"}, {"port", 5001}}}}});
  world.add_slice(SliceSpec{.pods = {{"10.0.0.1", "one"}}});
  EXPECT_EQ(texts(world.replicas()), Texts{"one:5001@10.0.0.1:5001+"});
}

}  // namespace
}  // namespace router::discovery

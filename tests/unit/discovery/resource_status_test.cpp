#include "router/discovery/resource_status.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

#include "tests/unit/discovery/cluster_world.h"

namespace router::discovery {
namespace {

namespace json = boost::json;
using Counts = std::map<std::string, std::pair<int, int>>;  // of deployments, by the object's name: ready, total

std::vector<ResourceStatus> statuses(const World& world, const Counts& counts = {}, const PublicAddress& address = {}) {
  std::vector<ReconcileResult> results = world.join().results;
  for (ReconcileResult& each : results) {
    const auto found = counts.find(each.name);
    if (found == counts.end()) continue;
    each.replicas_ready = found->second.first;
    each.replicas_total = found->second.second;
  }
  return make_statuses(world.state.cluster(), results, address);
}

ResourceStatus status_of(const std::vector<ResourceStatus>& all, const std::string& name) {
  for (const ResourceStatus& each : all) {
    if (each.key.name == name) return each;
  }
  ADD_FAILURE() << "no status of " << name;
  return {};
}

/// `True Reason: message`.
std::string text_of(const ResourceStatus& status, std::string_view type) {
  for (const Condition& each : status.conditions) {
    if (each.type == type) return absl::StrCat(each.holds ? "True " : "False ", each.reason, ": ", each.message);
  }
  return "no such condition";
}

struct Iris : World {
  explicit Iris(const std::map<std::string, int>& traffic = {{"blue", 90}, {"green", 10}}) {
    add_endpoint({.traffic = traffic}).add_deployment({}).add_deployment({.name = "green"});
    add_secret(secret({{"primaryKey", "a"}}));
  }
};

PublicAddress at(const std::string& url) {
  PublicAddress address;
  address.url = url;
  return address;
}

TEST(ResourceStatus, OfAnEndpointThatServes) {
  const Iris world;
  const ResourceStatus status = status_of(statuses(world, {{"iris-blue", {3, 4}}, {"iris-green", {1, 1}}}), "iris");
  EXPECT_EQ(text_of(status, "Accepted"), "True Accepted: it is in force");
  EXPECT_EQ(text_of(status, "Ready"), "True Ready: every deployment that has traffic has a ready replica");
  EXPECT_EQ(text_of(status, "Autoscaled"), "False NotConfigured: no deployment of it has `scale_settings`");
  EXPECT_EQ(status.traffic, "blue=90 green=10");
  EXPECT_EQ(status.replicas_ready, 4u);
  EXPECT_EQ(status.replicas_total, 5u);
  EXPECT_EQ(status.generation, 1);
}

TEST(ResourceStatus, AnEndpointIsReadyWhenEveryDeploymentWithTrafficHasAReplica) {
  const Iris world;
  EXPECT_EQ(text_of(status_of(statuses(world, {{"iris-blue", {3, 4}}, {"iris-green", {0, 1}}}), "iris"), "Ready"),
            "False NoReadyReplica: there is no ready replica of `green` (10 % of the traffic)");
  EXPECT_EQ(text_of(status_of(statuses(world), "iris"), "Ready"),
            "False NoReadyReplica: there is no ready replica of `blue` (90 % of the traffic), `green` (10 % of the traffic)");
  const Iris only_blue({{"blue", 100}, {"green", 0}});
  const ResourceStatus status = status_of(statuses(only_blue, {{"iris-blue", {1, 1}}}), "iris");
  EXPECT_EQ(text_of(status, "Ready").substr(0, 10), "True Ready");
  EXPECT_EQ(status.traffic, "blue=100");
}

TEST(ResourceStatus, AnEndpointWithoutTrafficKeysOrDeploymentsIsNotReady) {
  const Counts ready{{"iris-blue", {1, 1}}, {"iris-green", {1, 1}}};
  EXPECT_EQ(text_of(status_of(statuses(Iris(std::map<std::string, int>()), ready), "iris"), "Ready").substr(0, 16),
            "False NoTraffic:");
  EXPECT_EQ(text_of(status_of(statuses(Iris({{"blue", 60}, {"red", 40}}), ready), "iris"), "Ready"),
            "False DeploymentsMissing: 40 % of the traffic is for deployments that are not there");
  Iris without_keys;
  without_keys.state.forget_secret({"team-a", "iris-keys"});
  const ResourceStatus status = status_of(statuses(without_keys, ready), "iris");
  EXPECT_EQ(text_of(status, "Ready"),
            "False NoKeys: every request is answered with 401: there is no key in the Secret `iris-keys`");
  EXPECT_EQ(text_of(status, "Accepted").substr(0, 19), "True SecretMissing:");
  World tokens;
  tokens.add_endpoint({.traffic = {{"blue", 100}}, .auth_mode = "aad_token"}).add_deployment({});
  EXPECT_EQ(text_of(status_of(statuses(tokens, ready), "iris"), "Ready").substr(0, 26), "False AuthModeUnsupported:");
}

TEST(ResourceStatus, OfARefusedEndpointSaysWhyAndNothingElse) {
  Iris world;
  world.taken.endpoints.insert("iris");
  const auto all = statuses(world, {{"iris-blue", {1, 1}}}, at("https://a"));
  const ResourceStatus status = status_of(all, "iris");
  EXPECT_EQ(text_of(status, "Accepted"), "False NameConflict: the endpoint `iris` is described by a file");
  EXPECT_EQ(text_of(status, "Ready"), "False NotAccepted: it is not accepted");
  EXPECT_EQ(status.scoring_uri + status.traffic, "");
  EXPECT_EQ(status.replicas_total, 0u);
  EXPECT_EQ(text_of(status_of(all, "iris-blue"), "Ready"), "False NotAccepted: it is not accepted");
}

TEST(ResourceStatus, ABadVersionLeavesTheLastGoodOneVisible) {
  Iris world;
  json::object bad = EndpointSpec{.generation = 2}.object();
  bad["spec"].as_object()["nonsense"] = 1;
  world.endpoints->changed(bad);
  const ResourceStatus status =
      status_of(statuses(world, {{"iris-blue", {1, 1}}, {"iris-green", {1, 1}}}, at("https://a")), "iris");
  EXPECT_EQ(text_of(status, "Accepted").substr(0, 15), "False Invalid: ");
  EXPECT_EQ(text_of(status, "Ready"), "False NotAccepted: the newest version is not accepted; the last good one serves");
  EXPECT_EQ(status.generation, 2);
  EXPECT_EQ(status.traffic, "blue=90 green=10");
  EXPECT_EQ(status.scoring_uri, "https://a/api/v1/endpoint/iris/score");
}

TEST(ResourceStatus, OfADeploymentCountsItsReplicas) {
  const Iris world;
  const auto all = statuses(world, {{"iris-blue", {3, 4}}});
  const ResourceStatus blue = status_of(all, "iris-blue");
  EXPECT_EQ(text_of(blue, "Ready"), "True Ready: 3 of 4 replicas are ready");
  EXPECT_EQ(blue.replicas_ready, 3u);
  EXPECT_EQ(text_of(status_of(all, "iris-green"), "Ready"),
            "False NoReadyReplica: there are no pods behind the Service `iris-green`");
  EXPECT_EQ(text_of(status_of(statuses(world, {{"iris-green", {0, 1}}}), "iris-green"), "Ready"),
            "False NoReadyReplica: 0 of 1 replica is ready");
}

TEST(ResourceStatus, OfADeploymentThatFindsNothingToAdoptNamesTheLabels) {
  Iris world;
  world.rules.adopt_azureml_pods = true;
  world.add_deployment({.name = "green", .generation = 2, .adopts = true});
  EXPECT_EQ(text_of(status_of(statuses(world), "iris-green"), "Ready"),
            "False NoReadyReplica: there are no pods with the labels ml.azure.com/endpoint-name=iris and "
            "ml.azure.com/deployment-name=green");
}

json::object scaled_resource(const std::string& name, const char* type = "target_utilization") {
  json::object object = DeploymentSpec{.name = name, .generation = 2}.object();
  object["spec"].as_object()["scale_settings"] = {{"type", type}, {"min_instances", 1}};
  object["spec"].as_object()["model"] = "azureml:iris:1";
  return object;
}

TEST(ResourceStatus, TellsIgnoredKeysAndScaleSettings) {
  Iris world;
  world.deployments->changed(scaled_resource("blue"));
  const auto all = statuses(world);
  const std::string accepted = text_of(status_of(all, "iris-blue"), "Accepted");
  EXPECT_EQ(accepted, "True Accepted: it is in force; without effect here: `spec.model`");
  const std::string not_yet = "`scale_settings` have no effect yet: the cluster's own objects set the number of pods";
  EXPECT_EQ(text_of(status_of(all, "iris-blue"), "Autoscaled"), "False NotYet: " + not_yet);
  EXPECT_EQ(text_of(status_of(all, "iris"), "Autoscaled"), "False NotYet: `blue`: " + not_yet);
  EXPECT_EQ(text_of(status_of(all, "iris-green"), "Autoscaled"), "False NotConfigured: it has no `scale_settings`");
}

TEST(ResourceStatus, AFixedNumberOfPodsIsNotAutoscaled) {
  Iris world;
  world.deployments->changed(scaled_resource("blue", "default"));
  const auto all = statuses(world);
  EXPECT_EQ(text_of(status_of(all, "iris-blue"), "Autoscaled"),
            "False NotConfigured: its `scale_settings` have the type default: the number of pods is not the router's to set");
  EXPECT_EQ(text_of(status_of(all, "iris"), "Autoscaled"), "False NotConfigured: no deployment of it has `scale_settings`");
}

TEST(ResourceStatus, HasTheConditionAutoscaledThatItsCallerGives) {
  Iris world;
  world.deployments->changed(scaled_resource("blue"));
  world.deployments->changed(scaled_resource("green"));
  AutoscaledConditions autoscaled;
  autoscaled[{"team-a", "iris-blue"}] = {condition::kAutoscaled, true, "Steady", "2 pods"};
  autoscaled[{"team-a", "iris-green"}] = {condition::kAutoscaled, true, "AtMaximum", "5 pods"};
  autoscaled[{"team-b", "iris-blue"}] = {condition::kAutoscaled, false, "Contested", "of another namespace"};
  const auto make = [&] { return make_statuses(world.state.cluster(), world.join().results, {}, autoscaled); };
  EXPECT_EQ(text_of(status_of(make(), "iris-blue"), "Autoscaled"), "True Steady: 2 pods");
  EXPECT_EQ(text_of(status_of(make(), "iris-green"), "Autoscaled"), "True AtMaximum: 5 pods");
  EXPECT_EQ(text_of(status_of(make(), "iris"), "Autoscaled"), "True Steady: `blue`: 2 pods");
  autoscaled[{"team-a", "iris-green"}] = {condition::kAutoscaled, false, "Contested", std::string(5000, 'x')};
  EXPECT_EQ(text_of(status_of(make(), "iris"), "Autoscaled").substr(0, 27), "False Contested: `green`: x");
  for (const auto& each : make()) {
    for (const Condition& condition : each.conditions) EXPECT_LE(condition.message.size(), kMessageBytes);
  }
}

TEST(ResourceStatus, AConditionForADeploymentWithoutScaleSettingsIsNotShown) {
  const Iris world;
  const AutoscaledConditions autoscaled{{{"team-a", "iris-blue"}, {condition::kAutoscaled, true, "Steady", "an old one"}}};
  const auto all = make_statuses(world.state.cluster(), world.join().results, {}, autoscaled);
  EXPECT_EQ(text_of(status_of(all, "iris-blue"), "Autoscaled"), "False NotConfigured: it has no `scale_settings`");
}

TEST(ResourceStatus, BoundsMessages) {
  ReconcileResult result;
  result.reason = reason::kInvalid;
  result.message = "x";
  for (int i = 0; i < 5000; ++i) result.message += "ä";
  const auto all = make_statuses({}, {result}, {});
  const std::string& message = all.at(0).accepted().message;
  EXPECT_LE(message.size(), kMessageBytes);
  EXPECT_GT(message.size(), kMessageBytes - 4);
  EXPECT_TRUE(message.ends_with("ä…")) << "the cut keeps characters whole";
}

ResourceStatus ready(bool holds) {
  ResourceStatus status;
  status.generation = 3;
  status.conditions = {{condition::kAccepted, true, "Accepted", "yes"}, {condition::kReady, holds, "Why", "message"}};
  status.traffic = "blue=100";
  status.replicas_ready = 3;
  status.replicas_total = 4;
  return status;
}

TEST(StatusObject, HasTheFieldsOfTheColumns) {
  const json::object object = status_object(ready(true), {}, {}, "now");
  EXPECT_EQ(object.at("replicas"), "3/4");
  EXPECT_EQ(object.at("replicasReady"), 3);
  EXPECT_EQ(object.at("replicasTotal"), 4);
  EXPECT_EQ(object.at("observedGeneration"), 3);
  EXPECT_EQ(object.at("traffic"), "blue=100");
  EXPECT_EQ(object.at("scoringUri"), "") << "the router's field, although it is empty";
  const json::object& condition = object.at("conditions").at(1).as_object();
  EXPECT_EQ(
      json::value(condition),
      json::parse(
          R"({"type":"Ready","status":"True","observedGeneration":3,"lastTransitionTime":"now","reason":"Why","message":"message"})"));
}

TEST(StatusObject, KeepsTheTimeOfAConditionThatStays) {
  const auto since = [](const json::object& object) { return object.at("conditions").at(1).at("lastTransitionTime"); };
  const json::object first = status_object(ready(true), {}, {}, "noon");
  ResourceStatus other = ready(true);
  other.generation = 4;
  other.conditions[1].message = other.conditions[1].reason = "Other";
  EXPECT_EQ(since(status_object(other, first, {}, "later")), "noon");
  EXPECT_EQ(since(status_object(ready(false), first, {}, "later")), "later");
  EXPECT_EQ(since(status_object(ready(true), {}, first, "later")), "noon") << "the condition was removed meanwhile";
}

TEST(StatusObject, IsComparedWithoutWhatOthersHaveAdded) {
  const json::object wanted = status_object(ready(true), {}, {}, "noon");
  json::object known = wanted;
  known["more"] = 1;
  json::array& conditions = known["conditions"].as_array();
  conditions.insert(conditions.begin(), json::object{{"type", "Other"}, {"status", "True"}});
  std::swap(conditions[1], conditions[2]);
  EXPECT_EQ(part_of(known, wanted), wanted);
  known["traffic"] = "green=100";
  EXPECT_NE(part_of(known, wanted), wanted);
  known = wanted;
  known["conditions"].as_array().pop_back();
  EXPECT_NE(part_of(known, wanted), wanted);
  EXPECT_NE(part_of({}, wanted), wanted);
}

std::string uri(const PublicAddress& address, const std::vector<std::string>& hostnames = {}) {
  config::Endpoint endpoint;
  endpoint.name = "iris";
  endpoint.hostnames = hostnames;
  return scoring_uri(endpoint, address);
}

TEST(ScoringUri, IsTheFirstOfWhatIsKnown) {
  PublicAddress address;
  EXPECT_EQ(uri(address), "");
  address.service = "router";
  address.service_namespace = "system";
  EXPECT_EQ(uri(address), "http://router.system.svc/api/v1/endpoint/iris/score");
  address.own_service.load_balancer = "198.51.100.7";
  EXPECT_EQ(uri(address), "http://198.51.100.7/api/v1/endpoint/iris/score");
  address.ssl_cname = "ml.example";
  EXPECT_EQ(uri(address), "https://ml.example/api/v1/endpoint/iris/score");
  address.url = "https://public.example:8443/";
  EXPECT_EQ(uri(address), "https://public.example:8443/api/v1/endpoint/iris/score");
  EXPECT_EQ(uri(address, {"iris.example", "other.example"}), "http://iris.example/score");
  address.serves_tls = true;
  EXPECT_EQ(uri(address, {"iris.example"}), "https://iris.example/score");
}

TEST(ScoringUri, NamesThePortOfTheService) {
  PublicAddress address;
  address.service = "router";
  address.service_namespace = "system";
  address.own_service.port = 8080;
  EXPECT_EQ(uri(address), "http://router.system.svc:8080/api/v1/endpoint/iris/score");
  address.own_service.port = 443;
  EXPECT_EQ(uri(address), "https://router.system.svc/api/v1/endpoint/iris/score");
  address.own_service.load_balancer = "2001:db8::1";
  EXPECT_EQ(uri(address), "https://[2001:db8::1]/api/v1/endpoint/iris/score");
}

}  // namespace
}  // namespace router::discovery

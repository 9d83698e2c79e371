#include "config/scale.h"

#include <gmock/gmock.h>

#include <boost/json/parse.hpp>

#include "config/resource.h"
#include "config_folder.h"

namespace router::config::test {
namespace {

namespace json = boost::json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using Type = ScaleSettings::Type;

/// Reads an OnlineDeployment with further members of its spec.
Deployment read(const std::string& members, std::string& mistakes) {
  const std::string text = R"({"metadata": {"name": "x", "namespace": "team-a"},
                               "spec": {"name": "Blue", "endpoint_name": "my-endpoint", )" +
                           members + "}}";
  Findings findings;
  Deployment deployment = read_deployment_resource(json::parse(text).as_object(), findings).deployment;
  mistakes = findings.brief();
  return deployment;
}
Deployment accept(const std::string& members) {
  std::string mistakes;
  Deployment deployment = read(members, mistakes);
  EXPECT_EQ(mistakes, "");
  return deployment;
}
std::string refuse(const std::string& members) {
  std::string mistakes;
  read(members, mistakes);
  return mistakes;
}
ScaleSettings scale_settings(const std::string& map) {
  return accept(R"("scale_settings": )" + map).scale_settings.value_or(ScaleSettings{.min_instances = -1});
}
Scaling scaling(const std::string& map) { return accept(R"("router": {"scaling": )" + map + "}").scaling; }

TEST(ScaleSettings, OfAResourceHaveAnEffectAndAreNotToldAsIgnored) {
  const Deployment deployment = accept(R"("instance_count": 2, "scale_settings": {
      "type": "target_utilization", "min_instances": 0, "max_instances": 9, "polling_interval": 5,
      "target_utilization_percentage": 80})");
  ASSERT_TRUE(deployment.scale_settings);
  EXPECT_EQ(deployment.scale_settings->type, Type::kTargetUtilization);
  EXPECT_EQ(deployment.scale_settings->min_instances, 0);
  EXPECT_EQ(deployment.scale_settings->max_instances, 9);
  EXPECT_EQ(deployment.scale_settings->polling_interval, seconds(5));
  EXPECT_EQ(deployment.scale_settings->target_utilization_percentage, 80);
  EXPECT_EQ(deployment.instance_count, 2);
  EXPECT_THAT(deployment.ignored_keys, Not(Contains(HasSubstr("scale_settings"))));
  EXPECT_THAT(deployment.ignored_keys, Contains("spec.instance_count"));
}

TEST(ScaleSettings, AreAbsentUnlessTheDocumentHasThem) {
  const Deployment deployment = accept(R"("tags": {})");
  EXPECT_FALSE(deployment.scale_settings);
  EXPECT_FALSE(deployment.instance_count);
}

TEST(ScaleSettings, HaveAzureMlsDefaults) {
  const ScaleSettings settings = scale_settings("{}");
  EXPECT_EQ(settings.type, Type::kTargetUtilization);
  EXPECT_EQ(settings.min_instances, 1);
  EXPECT_EQ(settings.max_instances, 1);
  EXPECT_EQ(settings.polling_interval, seconds(1));
  EXPECT_EQ(settings.target_utilization_percentage, 70);
  EXPECT_EQ(scale_settings(R"({"type": "default"})").type, Type::kDefault);
  EXPECT_EQ(scale_settings(R"({"type": "TargetUtilization"})").type, Type::kTargetUtilization);
}

TEST(ScaleSettings, ABoundThatIsMissingGivesWayToTheOther) {
  EXPECT_EQ(scale_settings(R"({"max_instances": 3})").min_instances, 1);
  EXPECT_EQ(scale_settings(R"({"max_instances": 0})").min_instances, 0);
  EXPECT_EQ(scale_settings(R"({"min_instances": 3})").max_instances, 3);
  EXPECT_EQ(scale_settings(R"({"min_instances": 0})").max_instances, 1);
}

TEST(ScaleSettings, OfAFileHaveNoEffectAndAreToldSo) {
  const ConfigFolder folder;
  folder.write("endpoints/blue.yml",
               std::string(ConfigFolder::kBlue) + "instance_count: 4\nscale_settings: {max_instances: 2}\n");
  const Deployment deployment = folder.load().value().endpoints.at(0).deployments.at(0);
  EXPECT_THAT(deployment.ignored_keys, Contains("scale_settings"));
  EXPECT_THAT(deployment.ignored_keys, Contains("instance_count"));
}

TEST(Scaling, HasTheDocumentedDefaults) {
  const Deployment deployment = accept(R"("tags": {})");
  EXPECT_EQ(deployment.scaling.autoscaler, std::nullopt);
  EXPECT_EQ(deployment.scaling.target, (ScaleTarget{.name = "my-endpoint-blue"}));
  EXPECT_EQ(deployment.scaling.target.api_version, "apps/v1");
  EXPECT_EQ(deployment.scaling.target.kind, "Deployment");
  EXPECT_EQ(deployment.scaling.concurrency, 0u);
  EXPECT_EQ(deployment.scaling.idle_time, seconds(300));
  EXPECT_EQ(deployment.scaling.hold, milliseconds(120'000));
  EXPECT_EQ(deployment.scaling.hold_requests, std::nullopt);
}

TEST(Scaling, TakesEveryKey) {
  const Scaling read = scaling(R"({"autoscaler": "act", "concurrency": 8, "idle_time": 600, "hold_ms": 0, "hold_requests": 0,
      "target": {"api_version": "serving.example.com/v1beta1", "kind": "ModelSet2", "name": "iris.blue"}})");
  EXPECT_EQ(read.autoscaler, AutoscalerMode::kAct);
  EXPECT_EQ(read.concurrency, 8u);
  EXPECT_EQ(read.idle_time, seconds(600));
  EXPECT_EQ(read.hold, milliseconds(0));
  EXPECT_EQ(read.hold_requests, 0u);
  EXPECT_EQ(read.target, (ScaleTarget{"serving.example.com/v1beta1", "ModelSet2", "iris.blue"}));
  EXPECT_EQ(scaling(R"({"target": {"kind": "StatefulSet"}})").target,
            (ScaleTarget{"apps/v1", "StatefulSet", "my-endpoint-blue"}));
}

TEST(Scaling, KnowsTheModes) {
  EXPECT_EQ(scaling(R"({"autoscaler": "off"})").autoscaler, AutoscalerMode::kOff);
  EXPECT_EQ(scaling(R"({"autoscaler": "Observe"})").autoscaler, AutoscalerMode::kObserve);
  // kubectl sends this for `autoscaler: off` without quotes.
  EXPECT_EQ(scaling(R"({"autoscaler": false})").autoscaler, AutoscalerMode::kOff);
}

struct BadScaling {
  const char* name;
  std::string members;
  const char* told;
};
void PrintTo(const BadScaling& bad, std::ostream* out) { *out << bad.name; }
BadScaling bad(const char* name, const std::string& map, const char* told) {
  return {name, R"("router": {"scaling": )" + map + "}", told};
}
BadScaling bad_settings(const char* name, const std::string& map, const char* told) {
  return {name, R"("scale_settings": )" + map, told};
}

class RefusedScaling : public testing::TestWithParam<BadScaling> {};
TEST_P(RefusedScaling, IsToldWithItsKey) { EXPECT_THAT(refuse(GetParam().members), HasSubstr(GetParam().told)); }
INSTANTIATE_TEST_SUITE_P(
    Each, RefusedScaling,
    testing::Values(
        bad("ModeIsUnknown", R"({"autoscaler": "auto"})",
            "spec.router.scaling.autoscaler: `auto` is not one of: off, observe, act"),
        bad("ModeIsTrue", R"({"autoscaler": true})", "spec.router.scaling.autoscaler: `true` is not one of: off, observe, act"),
        bad("ConcurrencyIsNegative", R"({"concurrency": -1})",
            "spec.router.scaling.concurrency: `-1` is not a whole number from 0 to 1000000 requests"),
        bad("IdleTimeIsZero", R"({"idle_time": 0})",
            "spec.router.scaling.idle_time: `0` is not a whole number from 1 to 86400 seconds"),
        bad("HoldsLongerThanADay", R"({"hold_ms": 86400001})",
            "spec.router.scaling.hold_ms: `86400001` is not a whole number from 0 to 86400000 milliseconds"),
        bad("HoldsTooMany", R"({"hold_requests": 1000001})",
            "spec.router.scaling.hold_requests: `1000001` is not a whole number"),
        bad("TargetIsAText", R"({"target": "iris"})", "spec.router.scaling.target: a map of keys is expected"),
        bad("TargetOfAnotherNamespace", R"({"target": {"name": "team-b/iris"}})",
            "spec.router.scaling.target.name: `team-b/iris` is not the name of an object of this namespace"),
        bad("TargetLeavesItsPath", R"({"target": {"name": ".."}})", "spec.router.scaling.target.name: `..` is not the name"),
        bad("TargetWithoutName", R"({"target": {"name": ""}})", "spec.router.scaling.target.name: `` is not the name"),
        bad("TargetNamesItsNamespace", R"({"target": {"namespace": "team-b"}})",
            "spec.router.scaling.target.namespace: unknown key; known here: api_version, kind, name"),
        bad("VersionAsKubernetesSpellsIt", R"({"target": {"apiVersion": "apps/v1"}})",
            "spec.router.scaling.target.apiVersion: unknown key; perhaps `api_version` is meant"),
        bad("VersionWithoutGroup", R"({"target": {"api_version": "v1"}})",
            "spec.router.scaling.target.api_version: `v1` is not a group and a version"),
        bad("VersionWithAPath", R"({"target": {"api_version": "apps/v1/namespaces"}})",
            "spec.router.scaling.target.api_version: `apps/v1/namespaces` is not"),
        bad("GroupLeavesItsPath", R"({"target": {"api_version": "../v1"}})", "api_version: `../v1` is not a group"),
        bad("VersionIsEmpty", R"({"target": {"api_version": "apps/"}})", "api_version: `apps/` is not a group"),
        bad("KindInLowerCase", R"({"target": {"kind": "deployments"}})",
            "spec.router.scaling.target.kind: `deployments` is not a kind of Kubernetes"),
        bad("KindWithASubresource", R"({"target": {"kind": "Deployment/scale"}})", "kind: `Deployment/scale` is not a kind"),
        bad("KindIsTooLong", R"({"target": {"kind": "A)" + std::string(63, 'a') + R"("}})", " is not a kind of Kubernetes"),
        bad("UnknownKey", R"({"cooldown": 5})",
            "spec.router.scaling.cooldown: unknown key; known here: autoscaler, concurrency"),
        bad("HasNoValue", "null", "spec.router.scaling: has no value"),
        bad_settings("TooManyInstances", R"({"max_instances": 100001})",
                     "spec.scale_settings.max_instances: `100001` is not a whole number from 0 to 100000"),
        bad_settings("FewerThanNone", R"({"min_instances": -1})", "spec.scale_settings.min_instances: `-1` is not"),
        bad_settings("MinimumAboveMaximum", R"({"min_instances": 1, "max_instances": 0})",
                     "spec.scale_settings.min_instances: is more than max_instances"),
        bad_settings("NoUtilization", R"({"target_utilization_percentage": 0})",
                     "spec.scale_settings.target_utilization_percentage: `0` is not a whole number from 1 to 100 percent"),
        bad_settings("NoInterval", R"({"polling_interval": 0})",
                     "spec.scale_settings.polling_interval: `0` is not a whole number from 1 to 86400 seconds")),
    [](const auto& each) { return each.param.name; });

TEST(Scaling, OfAFileIsRefusedWithWhatItIsFor) {
  const ConfigFolder folder;
  folder.write("endpoints/blue.yml", "name: blue\nendpoint_name: my-endpoint\nrouter:\n  scaling: {autoscaler: act}\n");
  EXPECT_EQ(folder.mistakes(),
            "endpoints/blue.yml:4: router.scaling: is for a Kubernetes resource, whose pods the autoscaler counts; in a file, "
            "replicas lists addresses, and nothing scales them");
}

TEST(Autoscaler, ObservesUnlessRouterYamlSaysOtherwise) {
  const ConfigFolder folder;
  EXPECT_EQ(folder.load().value().process.autoscaler, AutoscalerMode::kObserve);
  for (const auto& [word, mode] : {std::pair("off", AutoscalerMode::kOff), std::pair("false", AutoscalerMode::kOff),
                                   std::pair("observe", AutoscalerMode::kObserve), std::pair("act", AutoscalerMode::kAct)}) {
    folder.write("router.yaml", std::string(ConfigFolder::kRouter) + "autoscaler: " + word + "\n");
    EXPECT_EQ(folder.load().value().process.autoscaler, mode) << word;
  }
  folder.write("router.yaml", std::string(ConfigFolder::kRouter) + "autoscaler: on\n");
  EXPECT_THAT(folder.mistakes(), HasSubstr("router.yaml:4: autoscaler: `on` is not one of: off, observe, act"));
}

/// The warning about `autoscaler`; empty: none.
std::string warning_with(const std::string& router_yaml) {
  const ConfigFolder folder;
  folder.write("router.yaml", router_yaml);
  const Config config = folder.load().value();
  for (const std::string& each : config.warnings) {
    if (each.find(": autoscaler: ") != each.npos) return folder.without_root(each);
  }
  return "";
}

TEST(Autoscaler, ThatActsWithoutAFleetOrAClusterIsWarnedAbout) {
  const std::string cluster = "listeners: [{port: 8080}]\nkubernetes: {}\n";
  const std::string fleet = "fleet: {advertise: 10.0.0.1:9903}\n";
  EXPECT_THAT(warning_with(cluster + "autoscaler: act\n"),
              HasSubstr("router.yaml:3: autoscaler: act: nothing is written without the section fleet"));
  EXPECT_THAT(warning_with(std::string(ConfigFolder::kRouter) + "autoscaler: act\n"),
              HasSubstr("router.yaml:4: autoscaler: act: nothing is scaled without the section kubernetes"));
  EXPECT_EQ(warning_with(cluster + fleet + "autoscaler: act\n"), "");
  EXPECT_EQ(warning_with(cluster + "autoscaler: observe\n"), "");
  EXPECT_EQ(warning_with(std::string(ConfigFolder::kRouter)), "");
}

TEST(HeldBytes, HaveALimitThatMayBeZero) {
  const ConfigFolder folder;
  EXPECT_EQ(folder.load().value().process.limits.max_held_bytes, 64'000'000u);
  folder.write("router.yaml", std::string(ConfigFolder::kRouter) + "limits: {max_held_bytes: 0}\n");
  EXPECT_EQ(folder.load().value().process.limits.max_held_bytes, 0u);
  folder.write("router.yaml", std::string(ConfigFolder::kRouter) + "limits: {max_held_bytes: 64MB}\n");
  EXPECT_THAT(folder.mistakes(),
              HasSubstr("limits.max_held_bytes: `64MB` is not a whole number from 0 to 1000000000000 bytes"));
}

}  // namespace
}  // namespace router::config::test

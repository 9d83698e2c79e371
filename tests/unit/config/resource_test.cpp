#include "config/resource.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <boost/json/parse.hpp>

#include "config_folder.h"

namespace router::config::test {
namespace {

namespace json = boost::json;
using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

json::object parse(const std::string& text) { return json::parse(text).as_object(); }

json::object endpoint(const std::string& spec, const std::string& name = "my-endpoint") {
  return parse(R"({"metadata": {"name": ")" + name + R"(", "namespace": "team-a"}, "spec": )" + spec + "}");
}
json::object deployment(const std::string& members, const std::string& name = "my-endpoint-blue") {
  return parse(R"({"metadata": {"name": ")" + name +
               R"(", "namespace": "team-a"}, "spec": {"name": "blue", "endpoint_name": "my-endpoint")" + members + "}}");
}

Endpoint accept_endpoint(const json::object& object) {
  Findings findings;
  EndpointDocument document = read_endpoint_resource(object, findings);
  EXPECT_EQ(findings.mistakes(), "");
  return document.endpoint;
}
Deployment accept_deployment(const json::object& object) {
  Findings findings;
  DeploymentDocument document = read_deployment_resource(object, findings);
  EXPECT_EQ(findings.mistakes(), "");
  return document.deployment;
}
std::string refuse_endpoint(const json::object& object) {
  Findings findings;
  read_endpoint_resource(object, findings);
  return findings.brief();
}
std::string refuse_deployment(const json::object& object) {
  Findings findings;
  read_deployment_resource(object, findings);
  return findings.brief();
}

TEST(EndpointResource, IsTakenAsAzureMlWritesTheFile) {
  Findings findings;
  const EndpointDocument document = read_endpoint_resource(endpoint(R"({
    "$schema": "https://azuremlschemas.azureedge.net/latest/kubernetesOnlineEndpoint.schema.json",
    "name": "My-Endpoint", "compute": "azureml:c", "auth_mode": "Key", "tags": {"a": "b", "n": 1},
    "traffic": {"blue": 90, "green": 10}, "mirror_traffic": {"red": 5},
    "router": {"hostnames": ["Models.Example"], "keys": {"secretName": "others"}, "status_profile": "Managed"}})"),
                                                           findings);
  EXPECT_EQ(findings.mistakes(), "");
  const Endpoint& endpoint = document.endpoint;
  EXPECT_EQ(endpoint.name, "my-endpoint");
  EXPECT_EQ(endpoint.namespace_name, "team-a");
  EXPECT_EQ(endpoint.file, "OnlineEndpoint team-a/my-endpoint");
  EXPECT_EQ(endpoint.keys_secret, "others");
  EXPECT_THAT(endpoint.hostnames, ElementsAre("models.example"));
  EXPECT_EQ(endpoint.status_profile, StatusProfile::kManaged);
  EXPECT_THAT(endpoint.ignored_keys, ElementsAre("spec.$schema", "spec.tags", "spec.compute"));
  ASSERT_EQ(document.traffic.size(), 2u);
  EXPECT_EQ(document.traffic[1].name, "green");
  EXPECT_EQ(document.traffic[1].percent, 10);
  EXPECT_EQ(text_of(document.traffic[1].location), "OnlineEndpoint team-a/my-endpoint: spec.traffic.green");
  EXPECT_EQ(document.mirror_traffic.at(0).percent, 5);
}

TEST(EndpointResource, IsNamedByItsMetadataAndFindsItsKeysByItsName) {
  const Endpoint endpoint = accept_endpoint(test::endpoint("{}"));
  EXPECT_EQ(endpoint.name, "my-endpoint");
  EXPECT_EQ(endpoint.keys_secret, "my-endpoint-keys");
  EXPECT_THAT(endpoint.keys, IsEmpty());
}

TEST(DeploymentResource, IsTakenAsAzureMlWritesTheFile) {
  const Deployment deployment = accept_deployment(test::deployment(R"(,
    "type": "kubernetes", "model": {"path": "./model"}, "app_insights_enabled": true, "instance_count": 2,
    "code_configuration": {"code": "./src", "scoring_script": "score.py"},
    "environment": {"conda_file": "./conda.yml", "image": "registry.example/image:1",
                    "inference_config": {"scoring_route": {"port": 8501, "path": "/v1"}}},
    "request_settings": {"request_timeout_ms": 3000, "max_concurrent_requests_per_instance": 4},
    "resources": {"requests": {"cpu": 0.5, "memory": "1Gi"}, "limits": {"cpu": "1", "nvidia.com/gpu": 1}},
    "scale_settings": {"type": "default"}, "tags": {"one": "two"},
    "router": {"tls": {"server_name": "pod.example", "verify": true}, "max_queue_length": 7, "drain_on_abort": true})"));
  EXPECT_EQ(deployment.namespace_name, "team-a");
  EXPECT_EQ(deployment.file, "OnlineDeployment team-a/my-endpoint-blue");
  EXPECT_EQ(deployment.scoring_route.port, 8501);
  EXPECT_EQ(deployment.request_timeout, milliseconds(3000));
  EXPECT_EQ(deployment.max_concurrent_requests_per_instance, 4u);
  EXPECT_EQ(deployment.max_queue_length, 7u);
  EXPECT_TRUE(deployment.drain_on_abort);
  ASSERT_TRUE(deployment.tls);
  EXPECT_EQ(deployment.tls->server_name, "pod.example");
  EXPECT_EQ(deployment.service.name, "my-endpoint-blue");
  EXPECT_EQ(deployment.service.port, "8501");
}

TEST(DeploymentResource, HasTheServiceOfItsNamesInLowerCaseWhateverItsResourceIsCalled) {
  json::object object = deployment("", "whatever.name");
  object["spec"].as_object()["name"] = "Blue";
  const Deployment deployment = accept_deployment(object);
  EXPECT_EQ(deployment.name, "Blue");
  EXPECT_EQ(deployment.service.name, "my-endpoint-blue");
  EXPECT_EQ(deployment.service.port, "5001");
}

TEST(DeploymentResource, NamesAServiceAndItsPort) {
  const auto service = [](const std::string& json) {
    return accept_deployment(deployment(R"(, "router": {"service": )" + json + "}")).service;
  };
  EXPECT_EQ(service(R"({"name": "others", "port": "http"})").name, "others");
  EXPECT_EQ(service(R"({"name": "others", "port": "http"})").port, "http");
  EXPECT_EQ(service(R"({"name": "others"})").port, "5001");
  EXPECT_EQ(service(R"({"port": 8080})").name, "my-endpoint-blue");
  EXPECT_EQ(service(R"({"port": 8080})").port, "8080");
  EXPECT_EQ(service(R"({"port": "08080"})").port, "8080");
}

TEST(DeploymentResource, AdoptsPodsInPlaceOfAService) {
  EXPECT_FALSE(accept_deployment(deployment("")).adopt_azureml_pods);
  EXPECT_TRUE(accept_deployment(deployment(R"(, "router": {"adoptAzureMLPods": true})")).adopt_azureml_pods);
  const Deployment neither =
      accept_deployment(deployment(R"(, "router": {"adoptAzureMLPods": false, "service": {"name": "others"}})"));
  EXPECT_FALSE(neither.adopt_azureml_pods);
  EXPECT_EQ(neither.service.name, "others");
}

TEST(Resource, NeitherReadsNorTellsTheEnvironmentOfTheRouter) {
  ASSERT_EQ(::setenv("ROUTER_TEST_SECRET", "not-for-tenants", 1), 0);
  const std::string told =
      refuse_deployment(deployment(R"(, "request_settings": {"request_timeout_ms": "${ROUTER_TEST_SECRET}"})"));
  EXPECT_EQ(told,
            "spec.request_settings.request_timeout_ms: `${ROUTER_TEST_SECRET}` is not a whole number from 1 to 86400000 "
            "milliseconds");
  EXPECT_EQ(accept_deployment(deployment(R"(, "tags": {"a": "${ROUTER_TEST_SECRET}", "b": "$$", "c": "${"})")).tags,
            (std::map<std::string, std::string>{{"a", "${ROUTER_TEST_SECRET}"}, {"b", "$$"}, {"c", "${"}}));
}

TEST(Resource, HasTheLimitsOfAFile) {
  std::string deep = "1";
  for (int i = 0; i < 70; ++i) deep = "[" + deep + "]";
  json::parse_options options;
  options.max_depth = 100;
  json::object object = deployment("");
  object["spec"].as_object()["model"] = json::parse(deep, {}, options);
  EXPECT_EQ(refuse_deployment(object), "spec: nested deeper than 64 levels");

  object["spec"].as_object()["model"] = json::array(50'000, json::value(1));
  EXPECT_THAT(refuse_deployment(object), StartsWith("spec: more than 50000 values"));
}

TEST(Resource, TakesNumbersTextsAndFlagsAsAFileWritesThem) {
  Findings findings;
  const json::value value = json::parse(
      R"({"null": null, "text": "1", "int": -5, "big": 18446744073709551615, "double": 0.1, "whole": 90.0, "flag": true, "list": [1, {}]})");
  const std::shared_ptr<const YamlValue> tree = to_yaml_value(value, {}, findings);
  ASSERT_NE(tree, nullptr);
  std::vector<std::string> scalars;
  for (const YamlValue::Member& each : tree->members) scalars.push_back(each.value->scalar);
  EXPECT_THAT(scalars, ElementsAre("", "1", "-5", "18446744073709551615", "0.1", "90", "true", ""));
  EXPECT_EQ(tree->members[0].value->kind, YamlValue::Kind::kNull);
  EXPECT_EQ(tree->members[7].value->items.at(1)->kind, YamlValue::Kind::kMap);
}

TEST(Resource, MistakesOfManyKeysAreToldBriefly) {
  std::string traffic;
  for (int i = 0; i < 30; ++i) traffic += (i == 0 ? "" : ", ") + ("\"d" + std::to_string(i)) + "\": -1";
  const std::string told = refuse_endpoint(endpoint(R"({"traffic": {)" + traffic + "}}"));
  EXPECT_THAT(told, StartsWith("spec.traffic.d0: `-1` is not a whole number from 0 to 100 percent; spec.traffic.d1: "));
  EXPECT_THAT(told, testing::EndsWith("; and 20 more"));
  EXPECT_THAT(told, testing::Not(HasSubstr("d10")));
}

TEST(Resource, ABriefMessageIsBoundedInBytesAndNeverEmpty) {
  Findings findings;
  for (int i = 0; i < 5; ++i) findings.mistake({"file", 0, "spec"}, std::string(300, 'x'));
  EXPECT_LE(findings.brief().size(), Findings::kBriefBytes);
  EXPECT_THAT(findings.brief(), testing::EndsWith("x; and 2 more"));

  Findings one;
  one.mistake({"file", 0, "spec"}, std::string(5000, 'x'));
  EXPECT_LE(one.brief().size(), Findings::kBriefBytes);
  EXPECT_THAT(one.brief(), StartsWith("spec: xxx"));
  one.mistake({"file", 0, "spec"}, std::string(5000, 'y'));
  EXPECT_LE(one.brief().size(), Findings::kBriefBytes);
  EXPECT_THAT(one.brief(), testing::EndsWith("; and 1 more"));

  Findings lines;
  lines.mistake({"file", 0, ""}, "one\ntwo");
  EXPECT_EQ(lines.brief(), "one?two");
  EXPECT_EQ(Findings().brief(), "");
}

TEST(Resource, WithoutNamespaceOrSpecIsRefused) {
  EXPECT_EQ(refuse_endpoint(parse(R"({"metadata": {"name": "abc"}, "spec": {}})")), "metadata.namespace: is missing");
  EXPECT_EQ(refuse_endpoint(parse(R"({"metadata": {"name": "abc", "namespace": "n"}})")),
            "spec: is missing; a map of keys is expected");
  EXPECT_THAT(refuse_endpoint({}), HasSubstr("metadata.name"));
  EXPECT_THAT(refuse_deployment({}), HasSubstr("metadata.namespace"));
}

/// A resource that is refused: `spec` of an endpoint, or members of a deployment's spec. `told` is the whole message.
struct BadResource {
  const char* name;
  std::string content;
  std::string told;
};
void PrintTo(const BadResource& bad, std::ostream* out) { *out << bad.name; }
std::string name_of_bad(const testing::TestParamInfo<BadResource>& info) { return info.param.name; }

class RefusedEndpointResource : public testing::TestWithParam<BadResource> {};
TEST_P(RefusedEndpointResource, IsToldWithItsPath) {
  EXPECT_THAT(refuse_endpoint(endpoint(GetParam().content)), StartsWith(GetParam().told));
}
INSTANTIATE_TEST_SUITE_P(
    Each, RefusedEndpointResource,
    testing::Values(
        BadResource{"OtherName", R"({"name": "other"})", "spec.name: `other` is not the name of the resource, `my-endpoint`"},
        BadResource{"NameOfAnotherType", R"({"name": {}})", "spec.name: a single value is expected"},
        BadResource{"UnknownKey", R"({"rubbish": 1})", "spec.rubbish: unknown key; known here: $schema, "},
        BadResource{"NullTraffic", R"({"traffic": null})", "spec.traffic: has no value; leave the key out"},
        BadResource{"TrafficOf90", R"({"traffic": {"blue": 90}})",
                    "spec.traffic: the percentages sum to 90; they must sum to 0 or 100"},
        BadResource{"TrafficTwiceInCase", R"({"traffic": {"blue": 50, "Blue": 50}})",
                    "spec.traffic.Blue: this deployment is given twice (case does not count)"},
        BadResource{"HalfAPercent", R"({"traffic": {"blue": 99.5, "green": 0.5}})",
                    "spec.traffic.blue: `99.5` is not a whole number from 0 to 100 percent; spec.traffic.green: "},
        BadResource{"MirrorToTwo", R"({"mirror_traffic": {"blue": 1, "green": 1}})",
                    "spec.mirror_traffic: 2 deployments; one at most"},
        BadResource{
            "PrimaryFile", R"({"router": {"keys": {"primary_file": "/etc/passwd"}}})",
            "spec.router.keys.primary_file: names a file of the router's own; in a resource, secretName names the Secret "
            "that holds the keys"},
        BadResource{"SecondaryFile", R"({"router": {"keys": {"secondary_file": "k"}}})",
                    "spec.router.keys.secondary_file: names a file of the router's own"},
        BadResource{"SecretOfAnotherNamespace", R"({"router": {"keys": {"secretName": "team-b/keys"}}})",
                    "spec.router.keys.secretName: `team-b/keys` is not the name of a Secret"},
        BadResource{"SecretWithoutName", R"({"router": {"keys": {"secretName": ""}}})",
                    "spec.router.keys.secretName: `` is not the name of a Secret"},
        BadResource{"UnknownKeyOfKeys", R"({"router": {"keys": {"name": "k"}}})",
                    "spec.router.keys.name: unknown key; perhaps `secretName` is meant; known here: secretName"},
        BadResource{"HostNameWithPort", R"({"router": {"hostnames": ["a.example:1"]}})",
                    "spec.router.hostnames[0]: `a.example:1` is not a host name"},
        BadResource{"AuthMode", R"({"auth_mode": "none"})", "spec.auth_mode: `none` is not one of: key, aml_token"}),
    name_of_bad);

TEST(EndpointResource, HasANameThatAzureMlAllows) {
  for (const char* name : {"ab", "1abc", "a.endpoint", "a-name-of-more-than-thirty-two-characters"}) {
    EXPECT_THAT(refuse_endpoint(endpoint("{}", name)),
                StartsWith("metadata.name: `" + std::string(name) + "` is not a name: 3"));
  }
}

class RefusedDeploymentResource : public testing::TestWithParam<BadResource> {};
TEST_P(RefusedDeploymentResource, IsToldWithItsPath) {
  EXPECT_THAT(refuse_deployment(deployment(GetParam().content)), StartsWith(GetParam().told));
}
INSTANTIATE_TEST_SUITE_P(
    Each, RefusedDeploymentResource,
    testing::Values(
        BadResource{
            "Replicas", R"(, "router": {"replicas": ["10.0.0.1"]})",
            "spec.router.replicas: lists addresses in a file; in a resource, service names the Service whose pods are the "
            "replicas"},
        BadResource{
            "Resolve", R"(, "router": {"resolve": "first"})",
            "spec.router.resolve: is for names that replicas lists in a file; in a resource, each pod of the Service is a "
            "replica"},
        BadResource{"AdoptionBesideAService", R"(, "router": {"adoptAzureMLPods": true, "service": {}})",
                    "spec.router.adoptAzureMLPods: cannot be true beside service"},
        BadResource{"AdoptionIsAWord", R"(, "router": {"adoptAzureMLPods": "always"})",
                    "spec.router.adoptAzureMLPods: `always` is neither true nor false"},
        BadResource{"AuthorityFile", R"(, "router": {"tls": {"ca_file": "/etc/shadow"}})",
                    "spec.router.tls.ca_file: names a file of the router's own, which a resource may not"},
        BadResource{"ServiceAsText", R"(, "router": {"service": "blue"})", "spec.router.service: a map of keys is expected"},
        BadResource{"ServiceOfAnotherNamespace", R"(, "router": {"service": {"name": "team-b/blue"}})",
                    "spec.router.service.name: `team-b/blue` is not the name of a Service"},
        BadResource{"PortZero", R"(, "router": {"service": {"port": 0}})",
                    "spec.router.service.port: `0` is neither the name of a port nor a number from 1 to 65535"},
        BadResource{"PortTooLarge", R"(, "router": {"service": {"port": 65536}})",
                    "spec.router.service.port: `65536` is neither"},
        BadResource{"PortEmpty", R"(, "router": {"service": {"port": ""}})", "spec.router.service.port: `` is neither"},
        BadResource{"PortName", R"(, "router": {"service": {"port": "HTTP"}})", "spec.router.service.port: `HTTP` is neither"},
        BadResource{"PortNegative", R"(, "router": {"service": {"port": -1}})", "spec.router.service.port: `-1` is neither"},
        BadResource{"UnknownKeyOfService", R"(, "router": {"service": {"namespace": "b"}})",
                    "spec.router.service.namespace: unknown key; known here: name, port"},
        BadResource{"UnknownKeyOfEnvironment", R"(, "environment": {"rubbish": 1})",
                    "spec.environment.rubbish: unknown key; known here: $schema, "},
        BadResource{"RouteWithQuery", R"(, "environment": {"inference_config": {"scoring_route": {"path": "/a?b"}}})",
                    "spec.environment.inference_config.scoring_route.path: `/a?b` is not a path"},
        BadResource{"RoutePort", R"(, "environment": {"inference_config": {"liveness_route": {"port": 0}}})",
                    "spec.environment.inference_config.liveness_route.port: `0` is not a whole number from 1 to 65535"},
        BadResource{"CpuAsList", R"(, "resources": {"requests": {"cpu": [1]}})",
                    "spec.resources.requests.cpu: a single value is expected"},
        BadResource{"TagAsMap", R"(, "tags": {"a": {}})", "spec.tags.a: a single value is expected"},
        BadResource{"MinimumAboveMaximum", R"(, "scale_settings": {"min_instances": 3, "max_instances": 2})",
                    "spec.scale_settings.min_instances: is more than max_instances"},
        BadResource{"TimeoutAsText", R"(, "request_settings": {"request_timeout_ms": "soon"})",
                    "spec.request_settings.request_timeout_ms: `soon` is not a whole number"},
        BadResource{"TextWithControlCharacters", R"(, "type": "a\u0000\u001b[2Jb\n")", "spec.type: `a??[2Jb?` is not one of"}),
    name_of_bad);

TEST(DeploymentResource, NeedsBothNames) {
  const json::object object = parse(R"({"metadata": {"name": "x", "namespace": "team-a"}, "spec": {}})");
  EXPECT_EQ(refuse_deployment(object), "spec.name: is missing; spec.endpoint_name: is missing");
}

TEST(DeploymentResource, HasNamesOfAtMost62CharactersTogether) {
  json::object object = deployment("");
  object["spec"].as_object()["name"] = std::string(32, 'a');
  object["spec"].as_object()["endpoint_name"] = std::string(31, 'b');
  EXPECT_THAT(refuse_deployment(object), StartsWith("spec.name: the names of endpoint and deployment have 63 characters"));
}

class KeyOfAResourceInAFile : public RefusedFile {};
TEST_P(KeyOfAResourceInAFile, IsRefusedWithWhereItBelongs) { expect_refused(); }
INSTANTIATE_TEST_SUITE_P(
    Each, KeyOfAResourceInAFile,
    testing::Values(
        BadFile{"SecretName", "endpoints/endpoint.yml", "name: my-endpoint\nrouter:\n  keys:\n    secretName: my-keys\n",
                "endpoints/endpoint.yml:4: router.keys.secretName: names a Secret for a Kubernetes resource; in a "
                "file, primary_file and secondary_file name files"},
        BadFile{"Service", "endpoints/blue.yml", "name: blue\nendpoint_name: my-endpoint\nrouter:\n  service: {name: blue}\n",
                "endpoints/blue.yml:4: router.service: names a Service for a Kubernetes resource; in a file, replicas "
                "lists addresses"},
        BadFile{"Adoption", "endpoints/blue.yml", "name: blue\nendpoint_name: my-endpoint\nrouter:\n  adoptAzureMLPods: true\n",
                "endpoints/blue.yml:4: router.adoptAzureMLPods: is for a Kubernetes resource; in a file, replicas lists "
                "addresses"}),
    name_of);

}  // namespace
}  // namespace router::config::test

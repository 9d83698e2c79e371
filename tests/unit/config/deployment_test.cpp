#include <gmock/gmock.h>

#include "config_folder.h"

namespace router::config::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

Deployment load_deployment(const ConfigFolder& folder) {
  const absl::StatusOr<Config> config = folder.load();
  EXPECT_TRUE(config.ok()) << config.status().message();
  return config.ok() ? config->endpoints.at(0).deployments.at(0) : Deployment{};
}

TEST(DeploymentFile, HasTheDocumentedDefaults) {
  const ConfigFolder folder;
  const Deployment deployment = load_deployment(folder);
  EXPECT_EQ(deployment.scoring_route.port, 5001);
  EXPECT_EQ(deployment.scoring_route.path, "/score");
  EXPECT_EQ(deployment.liveness_route.port, 5001);
  EXPECT_EQ(deployment.readiness_route.path, "/");
  EXPECT_EQ(deployment.readiness_probe.initial_delay, seconds(10));
  EXPECT_EQ(deployment.readiness_probe.period, seconds(10));
  EXPECT_EQ(deployment.readiness_probe.timeout, seconds(2));
  EXPECT_EQ(deployment.readiness_probe.success_threshold, 1);
  EXPECT_EQ(deployment.readiness_probe.failure_threshold, 30);
  EXPECT_EQ(deployment.max_concurrent_requests_per_instance, 1u);
  EXPECT_EQ(deployment.request_timeout, milliseconds(5000));
  EXPECT_EQ(deployment.max_queue_wait, milliseconds(500));
  EXPECT_FALSE(deployment.tls);
  EXPECT_FALSE(deployment.max_queue_length);
  EXPECT_EQ(deployment.max_request_bytes, 100'000'000u);
  EXPECT_EQ(deployment.connect_timeout, milliseconds(500));
  EXPECT_EQ(deployment.stream_idle_timeout, milliseconds(60000));
  EXPECT_EQ(deployment.upload_timeout, milliseconds(60000));
  EXPECT_EQ(deployment.abort_wait, milliseconds(250));
  EXPECT_FALSE(deployment.drain_on_abort);
  EXPECT_FALSE(deployment.allow_encoded_slashes);
}

TEST(DeploymentFile, IsTakenAsAzureMlWritesItForKubernetes) {
  const ConfigFolder folder;
  folder.write("endpoints/blue.yml",
               R"($schema: https://azuremlschemas.azureedge.net/latest/kubernetesOnlineDeployment.schema.json
name: blue
type: kubernetes
endpoint_name: my-endpoint
app_insights_enabled: true
model:
  path: ../models/one/
code_configuration:
  code: ../scoring/
  scoring_script: score.py
environment: 
  conda_file: ../conda.yaml
  image: mcr.microsoft.com/azureml/some-image:latest
request_settings:
  request_timeout_ms: 3000
  max_queue_wait_ms: 3000
resources:
  requests: {cpu: "0.1", memory: "0.1Gi"}
  limits: {cpu: 0.2, memory: 200Mi, nvidia.com/gpu: 1}
tags:
  tag1: some-value
instance_count: 1
instance_type: defaultinstancetype
scale_settings:
  type: target_utilization
  min_instances: 1
  max_instances: 3
  polling_interval: 10
  target_utilization_percentage: 70
)");
  const Deployment deployment = load_deployment(folder);
  EXPECT_EQ(deployment.request_timeout, milliseconds(3000));
  EXPECT_EQ(deployment.max_queue_wait, milliseconds(3000));
  EXPECT_THAT(deployment.tags, ElementsAre(Pair("tag1", "some-value")));
  EXPECT_THAT(deployment.ignored_keys, Contains("environment.conda_file"));
  EXPECT_THAT(deployment.ignored_keys, Contains("scale_settings"));
  EXPECT_THAT(folder.warnings(), HasSubstr("endpoints/blue.yml:1: router.replicas: the deployment has no replicas"));
}

TEST(DeploymentFile, KnowsEveryKeyOfThePublicSchemas) {
  const ConfigFolder folder;
  folder.write("endpoints/blue.yml", R"($schema: https://azuremlschemas.azureedge.net/latest/managedOnlineDeployment.schema.json
id: x
name: blue
type: Managed
endpoint_name: My-Endpoint
description: words with a $ and ${NOT_A_VARIABLE_HERE}
properties: {a: b}
model: azureml:some-model@latest
model_mount_path: /var/models
environment_variables: {PATH_OF_IT: "${AZUREML_MODEL_DIR}", N: 5}
environment:
  $schema: x
  name: env
  version: 3
  description: words
  tags: {a: b}
  properties: {a: b}
  image: some/image:1
  conda_file: {dependencies: [python]}
  build: {path: ., dockerfile_path: Dockerfile}
  os_type: Linux
  path: .
  datastore: workspaceblobstore
  inference_config:
    scoring_route: {port: 8080, path: /v1/models/one:predict}
    liveness_route: {port: 8081, path: /live}
    readiness_route: {path: /ready}
request_settings: {request_timeout_ms: 86400000, max_concurrent_requests_per_instance: 0, max_queue_wait_ms: 0}
liveness_probe: {initial_delay: 1, period: 1, timeout: 1, success_threshold: 1, failure_threshold: 1}
readiness_probe: {initial_delay: 0, period: 3, timeout: 4, success_threshold: 5, failure_threshold: 6}
startup_probe: {period: 7}
instance_count: 3
instance_type: Standard_DS3_v2
data_collector: {collections: {model_inputs: {enabled: 'True'}}, rolling_rate: Hour, sampling_rate: 0.5}
egress_public_network_access: disabled
private_network_connection: false
resourceGroup: my-group
)");
  const Deployment deployment = load_deployment(folder);
  EXPECT_EQ(deployment.scoring_route.port, 8080);
  EXPECT_EQ(deployment.scoring_route.path, "/v1/models/one:predict");
  EXPECT_EQ(deployment.liveness_route.port, 8081);
  EXPECT_EQ(deployment.liveness_route.path, "/live");
  EXPECT_EQ(deployment.readiness_route.port, 8080) << "the scoring port";
  EXPECT_EQ(deployment.readiness_route.path, "/ready");
  EXPECT_EQ(deployment.request_timeout, std::chrono::hours(24));
  EXPECT_EQ(deployment.max_concurrent_requests_per_instance, 0u);
  EXPECT_EQ(deployment.max_queue_wait, milliseconds(0));
  EXPECT_EQ(deployment.readiness_probe.initial_delay, seconds(0));
  EXPECT_EQ(deployment.readiness_probe.period, seconds(3));
  EXPECT_EQ(deployment.readiness_probe.timeout, seconds(4));
  EXPECT_EQ(deployment.readiness_probe.success_threshold, 5);
  EXPECT_EQ(deployment.readiness_probe.failure_threshold, 6);
  EXPECT_THAT(deployment.ignored_keys, Contains("environment_variables"));
  EXPECT_THAT(deployment.ignored_keys, Contains("startup_probe"));
}

TEST(DeploymentFile, TakesEveryKeyOfTheExtension) {
  const ConfigFolder folder;
  folder.write("endpoints/blue.yml", R"(name: blue
endpoint_name: my-endpoint
environment: azureml:some-environment:1
router:
  replicas: [Pod-0.pods:8080, 10.0.0.1, "[fd00::1]:443", "[fd00::2]", "Pods.example.:81", pods.example.]
  resolve: First
  tls: {verify: false, ca_file: ../tls/ca.pem, server_name: pods.internal}
  max_queue_length: 0
  max_request_bytes: 5
  connect_timeout_ms: 6
  stream_idle_timeout_ms: 7
  upload_timeout_ms: 8
  abort_wait_ms: 0
  drain_on_abort: on
  allow_encoded_slashes: true
)");
  const Deployment deployment = load_deployment(folder);
  ASSERT_EQ(deployment.replicas.size(), 6u);
  EXPECT_EQ(deployment.replicas[0].host, "pod-0.pods");
  EXPECT_EQ(deployment.replicas[0].port, 8080);
  EXPECT_EQ(deployment.replicas[1].host, "10.0.0.1");
  EXPECT_EQ(deployment.replicas[1].port, 0);
  EXPECT_EQ(deployment.replicas[2].host, "fd00::1");
  EXPECT_EQ(deployment.replicas[2].port, 443);
  EXPECT_EQ(deployment.replicas[3].host, "fd00::2");
  EXPECT_EQ(deployment.replicas[4].host, "pods.example.") << "earlier versions refused the dot at the end";
  EXPECT_EQ(deployment.replicas[4].port, 81);
  EXPECT_EQ(deployment.replicas[5].host, "pods.example.");
  EXPECT_EQ(deployment.resolve, Resolve::kFirst);
  ASSERT_TRUE(deployment.tls);
  EXPECT_FALSE(deployment.tls->verify);
  EXPECT_EQ(deployment.tls->ca_file, folder.path("tls/ca.pem"));
  EXPECT_EQ(deployment.tls->server_name, "pods.internal");
  EXPECT_EQ(deployment.max_queue_length, 0u);
  EXPECT_EQ(deployment.max_request_bytes, 5u);
  EXPECT_EQ(deployment.connect_timeout, milliseconds(6));
  EXPECT_EQ(deployment.stream_idle_timeout, milliseconds(7));
  EXPECT_EQ(deployment.upload_timeout, milliseconds(8));
  EXPECT_EQ(deployment.abort_wait, milliseconds(0));
  EXPECT_TRUE(deployment.drain_on_abort);
  EXPECT_TRUE(deployment.allow_encoded_slashes);
  EXPECT_THAT(folder.load()->files, Contains(folder.path("tls/ca.pem")));
  EXPECT_THAT(folder.warnings(), HasSubstr("endpoints/blue.yml:7: router.tls.verify: false"));
}

TEST(DeploymentFile, SpeaksHttpsToReplicasByAnEmptyTls) {
  const ConfigFolder folder;
  folder.write("endpoints/blue.yml", std::string(ConfigFolder::kBlue) + "  tls: {}\n");
  ASSERT_TRUE(load_deployment(folder).tls);
  EXPECT_TRUE(load_deployment(folder).tls->verify);
}

TEST(DeploymentFile, MayHaveNamesOfSixtyTwoCharactersTogether) {
  const ConfigFolder folder;
  const std::string endpoint(32, 'e');
  const auto write = [&](std::size_t length) {
    folder.write("endpoints/endpoint.yml", "name: " + endpoint + "\n");
    folder.write("endpoints/blue.yml", "name: " + std::string(length, 'd') + "\nendpoint_name: " + endpoint + "\n");
  };
  write(30);
  EXPECT_EQ(folder.mistakes(), "");
  write(31);
  EXPECT_THAT(folder.mistakes(), HasSubstr("endpoints/blue.yml:1: name: the names of endpoint and deployment have 63"));
}

using RefusedDeployment = RefusedFile;
TEST_P(RefusedDeployment, IsToldWithItsLocation) { expect_refused(); }

BadFile bad(const char* name, const std::string& text, const std::string& told) {
  return {name, "endpoints/blue.yml", text, "endpoints/blue.yml:" + told};
}
BadFile bad_line(const char* name, const std::string& line, const std::string& told) {
  return bad(name, "name: blue\nendpoint_name: my-endpoint\n" + line + "\n", "3: " + told);
}
BadFile bad_route(const char* name, const std::string& route, const std::string& told) {
  return bad_line(name, "environment: {inference_config: {scoring_route: {" + route + "}}}",
                  "environment.inference_config.scoring_route." + told);
}
BadFile bad_replica(const char* name, const std::string& replica) {
  return bad_line(name, "router: {replicas: ['10.0.0.9', '" + replica + "']}",
                  "router.replicas[1]: `" + replica + "` is not host:port");
}

INSTANTIATE_TEST_SUITE_P(
    Mistakes, RefusedDeployment,
    testing::Values(
        bad("NoEndpointName", "name: blue\nmodel: azureml:m:1\n", "1: endpoint_name: is missing"),
        bad("NoEndpointNameBySchema", "$schema: kubernetesOnlineDeployment.schema.json\nname: blue\n",
            "1: endpoint_name: is missing"),
        bad("NoName", "endpoint_name: my-endpoint\n", "1: name: is missing"),
        bad("BadName", "name: b_lue\nendpoint_name: my-endpoint\n", "1: name: `b_lue` is not a name"),
        bad("NoSuchEndpoint", "name: blue\nendpoint_name: yours\n", "2: endpoint_name: no file of `endpoints` describes the"),
        bad_line("UnknownKey", "instances: 3", "instances: unknown key; known here: "),
        bad_line("Type", "type: serverless", "type: `serverless` is not one of: kubernetes, managed"),
        bad_line("TimeoutIsAWord", "request_settings: {request_timeout_ms: soon}",
                 "request_settings.request_timeout_ms: `soon`"),
        bad_line("TimeoutIsZero", "request_settings: {request_timeout_ms: 0}",
                 "request_settings.request_timeout_ms: `0` is not"),
        bad_line("TimeoutBeyondADay", "request_settings: {request_timeout_ms: 86400001}",
                 "request_settings.request_timeout_ms: `86400001` is not a whole number from 1 to 86400000 milliseconds"),
        bad_line("WaitIsNegative", "request_settings: {max_queue_wait_ms: -5}", "request_settings.max_queue_wait_ms: `-5`"),
        bad_line("TooManySlots", "request_settings: {max_concurrent_requests_per_instance: 1000001}",
                 "request_settings.max_concurrent_requests_per_instance: `1000001`"),
        bad_line("SettingMisspelt", "request_settings: {timeout: 5}",
                 "request_settings.timeout: unknown key; perhaps `request_timeout_ms` is meant; known here: max_"),
        bad_line("SettingsAreAList", "request_settings: [5]", "request_settings: a map of keys is expected"),
        bad_line("SettingHasNoValue", "request_settings: {request_timeout_ms: }",
                 "request_settings.request_timeout_ms: has no"),
        bad_line("ProbePeriod", "readiness_probe: {period: 0}", "readiness_probe.period: `0` is not a whole number from 1"),
        bad_line("ProbeThreshold", "liveness_probe: {failure_threshold: 0}", "liveness_probe.failure_threshold: `0`"),
        bad_line("ProbeUnknownKey", "startup_probe: {path: /}", "startup_probe.path: unknown key"),
        bad_line("EnvironmentUnknownKey", "environment: {docker: x}", "environment.docker: unknown key"),
        bad_line("EnvironmentIsAList", "environment: [x]", "environment: a map of keys is expected"),
        bad_line("RouteUnknown", "environment: {inference_config: {score: {}}}", "environment.inference_config.score: unknown"),
        bad_route("RoutePort", "port: 0", "port: `0` is not a whole number from 1 to 65535"),
        bad_route("RoutePathIsRelative", "path: score", "path: `score` is not a path"),
        bad_route("RoutePathWithQuery", "path: '/score?a=b'", "path: `/score?a=b` is not a path"),
        bad_route("RoutePathWithLineEnd", "path: \"/score\\r\\nX: y\"", "path: `/score??X: y` is not a path"),
        bad_line("ScaleType", "scale_settings: {type: magic}", "scale_settings.type: `magic` is not one of"),
        bad_line("ScaleUpsideDown", "scale_settings: {min_instances: 3, max_instances: 2}",
                 "scale_settings.min_instances: is more than max_instances"),
        bad_line("ResourceUnknown", "resources: {limits: {disk: 1}}", "resources.limits.disk: unknown key; known here: cpu"),
        bad_line("ResourceIsAMap", "resources: {limits: {cpu: {}}}", "resources.limits.cpu: a single value is expected"),
        bad_line("CodeUnknownKey", "code_configuration: {script: a}", "code_configuration.script: unknown key"),
        bad_line("CollectorUnknownKey", "data_collector: {rate: 1}", "data_collector.rate: unknown key"),
        bad_line("InstanceCount", "instance_count: three", "instance_count: `three` is not"),
        bad_line("Insights", "app_insights_enabled: perhaps", "app_insights_enabled: `perhaps` is neither"),
        bad_line("ExtensionUnknownKey", "router: {replica: a}",
                 "router.replica: unknown key; perhaps `replicas` is meant; known here: abort_wait_ms, "),
        bad_line("ReplicasAreAText", "router: {replicas: 10.0.0.1}", "router.replicas: a list is expected"),
        bad_line("ReplicaIsAMap", "router: {replicas: [{host: a}]}", "router.replicas[0]: a single value is expected"),
        bad_line("ReplicaTwice", "router: {replicas: [10.0.0.1, '10.0.0.1:5001']}",
                 "router.replicas[1]: `10.0.0.1:5001` is given"),
        bad_replica("ReplicaPortZero", "10.0.0.1:0"), bad_replica("ReplicaPortTooLarge", "10.0.0.1:65536"),
        bad_replica("ReplicaPortEmpty", "10.0.0.1:"), bad_replica("ReplicaPortIsAWord", "10.0.0.1:http"),
        bad_replica("ReplicaIsAUrl", "http://10.0.0.1"), bad_replica("ReplicaWithoutBrackets", "fd00::1"),
        bad_replica("ReplicaWithOneBracket", "[fd00::1:80"), bad_replica("ReplicaAfterBracket", "[fd00::1]80"),
        bad_replica("ReplicaNoSuchAddress", "10.0.0.256:80"), bad_replica("ReplicaNoHost", ":80"),
        bad_replica("ReplicaUser", "root@host"), bad_replica("ReplicaBracketedName", "[host]:80"),
        bad_line("TlsUnknownKey", "router: {tls: {insecure: true}}", "router.tls.insecure: unknown key; known here: ca_file"),
        bad_line("TlsHasNoValue", "router: {tls: }", "router.tls: has no value"),
        bad_line("ServerName", "router: {tls: {server_name: 'a b'}}", "router.tls.server_name: `a b` is not a host name"),
        bad_line("BodyLimit", "router: {max_request_bytes: 100MB}", "router.max_request_bytes: `100MB` is not"),
        bad_line("QueueLength", "router: {max_queue_length: -1}", "router.max_queue_length: `-1` is not"),
        bad_line("ConnectTimeout", "router: {connect_timeout_ms: 0}", "router.connect_timeout_ms: `0` is not")),
    name_of);

}  // namespace
}  // namespace router::config::test

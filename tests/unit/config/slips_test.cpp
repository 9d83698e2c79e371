#include "config/slips.h"

#include <gtest/gtest.h>

#include "config/outline.h"
#include "config_folder.h"

namespace router::config::test {
namespace {

constexpr const char* kBlue = "endpoints/blue.yml";
constexpr const char* kNewFile = "endpoints/new.yml";
const std::string kNames = "name: blue\nendpoint_name: my-endpoint\n";
const std::string kMoveIt =
    ", neither an endpoint nor a deployment; move it out of the folder, or let `endpoints` of router.yaml name";

/// The usual slips of operators, each with its message.
class Slip : public RefusedFile {};
TEST_P(Slip, IsToldWithWhatToDo) { expect_refused(); }

BadFile blue(const char* name, const std::string& text, const std::string& told) {
  return {name, kBlue, kNames + text, std::string(kBlue) + ":" + told};
}
BadFile foreign(const char* name, const std::string& text, const std::string& told) {
  return {name, kNewFile, text, std::string(kNewFile) + ":1: is " + told};
}
BadFile router_yaml(const char* name, const std::string& text, const std::string& told) {
  return {name, "router.yaml", text, "router.yaml:" + told};
}
BadFile key(const char* name, const std::string& line, const std::string& told) {
  return router_yaml(name, ConfigFolder::kRouter + line + "\n", "4: " + told);
}

INSTANTIATE_TEST_SUITE_P(
    OfYaml, Slip,
    testing::Values(
        blue("TabBeforeAKey", "router:\n\treplicas: ['10.0.0.1']\n", "4: is not valid YAML: a tab stands in the indentation"),
        blue("TabAfterSpaces", "router:\n  resolve: all\n  \treplicas: ['10.0.0.1']\n", "5: is not valid YAML: a tab"),
        blue("TabBeforeAnItem", "router:\n  replicas:\n\t- 10.0.0.1\n", "5: is not valid YAML: a tab"),
        BadFile{"PlaceholderAsAKeyOfAMap", kBlue, "name: blue\nendpoint_name: {{ENDPOINT}}\n",
                "endpoints/blue.yml:2: the placeholder `{{ENDPOINT}}` has not been replaced by a value"},
        BadFile{"PlaceholderInQuotes", kBlue, "name: blue\nendpoint_name: \"{{ ENDPOINT }}\"\n",
                "endpoints/blue.yml:2: endpoint_name: the placeholder `{{ ENDPOINT }}` has not been replaced by a value"},
        BadFile{"PlaceholderInsideAText", kBlue, "name: blue-{{COLOUR}}\nendpoint_name: my-endpoint\n",
                "endpoints/blue.yml:1: name: the placeholder `{{COLOUR}}` has not been replaced"},
        BadFile{"PlaceholderInBrackets", kBlue, "name: blue\nendpoint_name: <ENDPOINT_NAME>\n",
                "endpoints/blue.yml:2: endpoint_name: the placeholder `<ENDPOINT_NAME>` has not been replaced"},
        BadFile{"PlaceholderOfTheEnvironment", kBlue, "name: blue\nendpoint_name: ${ROUTER_TEST_NOBODY}\n",
                "endpoints/blue.yml:2: endpoint_name: the environment variable ROUTER_TEST_NOBODY is not set"},
        blue("PlaceholderOfWhatHasNoEffect", "instance_type: {{SIZE}}\n", "3: the placeholder `{{SIZE}}` has not been"),
        BadFile{"TemplateOfHelm", kNewFile, "name: {{ .Values.name }}\n",
                "endpoints/new.yml:1: `{{ .Values.name }}` belongs to a template, such as Helm's"}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    OfLevels, Slip,
    testing::Values(
        blue("ReplicasBesideRouter", "replicas: ['10.0.0.1']\n",
             "3: replicas: unknown key; it belongs at `router.replicas`; known"),
        blue("InferenceConfigBesideEnvironment", "inference_config: {scoring_route: {port: 5001, path: /}}\n",
             "3: inference_config: unknown key; it belongs at `environment.inference_config`; known"),
        blue("ScoringRouteBesideEnvironment", "scoring_route: {port: 5001}\n",
             "3: scoring_route: unknown key; it belongs at `environment.inference_config.scoring_route`; known"),
        blue("RequestTimeoutBesideItsSettings", "request_timeout_ms: 5\n",
             "3: request_timeout_ms: unknown key; it belongs at `request_settings.request_timeout_ms`; known"),
        blue("RequestSettingsInRouter", "router: {request_settings: {}}\n",
             "3: router.request_settings: unknown key; it belongs at `request_settings`; known"),
        blue("HostNamesInADeployment", "router: {hostnames: [a.example]}\n",
             "3: router.hostnames: unknown key; it belongs at `router.hostnames` of an endpoint or "),
        blue("LogInADeployment", "router: {access_log: stdout}\n",
             "3: router.access_log: unknown key; it belongs at `access_log` of router.yaml; known"),
        BadFile{
            "ReplicasInAnEndpoint", "endpoints/endpoint.yml", "name: my-endpoint\nrouter: {replicas: ['10.0.0.1']}\n",
            "endpoints/endpoint.yml:2: router.replicas: unknown key; it belongs at `router.replicas` of a deployment; known"},
        BadFile{"ReplicasInAnOverlaysEndpoint", "endpoints/my.overlay.yml", "endpoints:\n  my-endpoint:\n    replicas: [a]\n",
                "endpoints/my.overlay.yml:3: endpoints.my-endpoint.replicas: unknown key; it belongs at "
                "`deployments.NAME.replicas`; known here: deployments, "},
        BadFile{"AzuresKeyInAnOverlay", "endpoints/my.overlay.yml", "endpoints:\n  my-endpoint:\n    auth_mode: key\n",
                "endpoints/my.overlay.yml:3: endpoints.my-endpoint.auth_mode: unknown key; it belongs at `auth_mode` in the "
                "file of Azure ML; known here: "},
        BadFile{"RouterInAnOverlay", "endpoints/my.overlay.yml", "endpoints:\n  my-endpoint:\n    router: {}\n",
                "endpoints/my.overlay.yml:3: endpoints.my-endpoint.router: unknown key; leave it out, and write its keys "
                "here; known here: "},
        key("CertificatesBesideListeners", "certificates: []",
            "certificates: unknown key; it belongs at `listeners[].tls.certificates`; known"),
        key("LimitBesideLimits", "max_header_bytes: 2048",
            "max_header_bytes: unknown key; it belongs at `limits.max_header_bytes`"),
        key("ReplicasInRouterYaml", "replicas: ['10.0.0.1']",
            "replicas: unknown key; it belongs at `router.replicas` of a deployment; known"),
        blue("AnotherSpelling", "requestSettings: {}\n",
             "3: requestSettings: unknown key; perhaps `request_settings` is meant"),
        blue("AnotherNumber", "router: {replica: ['10.0.0.1']}\n",
             "3: router.replica: unknown key; perhaps `replicas` is meant")),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    OfLists, Slip,
    testing::Values(blue("AReplicaInPlaceOfAList", "router: {replicas: '10.0.0.1:5001'}\n",
                         "3: router.replicas: a list is expected, such as `replicas: [10.0.0.1:5001]`"),
                    blue("AReplicaInBrackets", "router: {replicas: '[::1]:5001'}\n",
                         "3: router.replicas: a list is expected, such as `replicas: ['[::1]:5001']`"),
                    router_yaml("APatternInPlaceOfAList", "listeners:\n  - port: 8080\nendpoints: endpoints/*.yml\n",
                                "3: endpoints: a list is expected, such as `endpoints: ['endpoints/*.yml']`"),
                    router_yaml("AMapInPlaceOfAListOfMaps", "listeners:\n  port: 8080\nendpoints: [endpoints/*.yml]\n",
                                "1: listeners: a list is expected, in which each map begins with `- `")),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    OfFolders, Slip,
    testing::Values(
        foreign("ResourceOfOurs",
                "apiVersion: inference-router.dev/v1\nkind: OnlineEndpoint\nmetadata: {name: iris}\nspec: {}\n",
                "a resource of Kubernetes (kind `OnlineEndpoint`), no file for `endpoints`: apply it to the cluster with "
                "`kubectl apply -f`"),
        foreign("ResourceOfAnother", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: iris}\n",
                "a resource of Kubernetes (kind `Deployment`)" + kMoveIt),
        foreign("DockerCompose", "services:\n  model:\n    image: mine\n",
                "a file of Docker Compose (it has `services`)" + kMoveIt),
        foreign("GitHubWorkflow", "name: build\non: push\njobs: {}\n",
                "a workflow of GitHub (it has `jobs` and `on`)" + kMoveIt),
        foreign("AzureDevOps", "trigger: [main]\nsteps: []\n",
                "a pipeline of Azure DevOps (it has `trigger` and `steps`)" + kMoveIt),
        foreign("CondaEnvironment", "name: model-env\nchannels: [conda-forge]\ndependencies: [python=3.11]\n",
                "an environment of conda (it has `dependencies` and `channels`)" + kMoveIt),
        foreign("HelmChart", "apiVersion: v2\nname: mine\nversion: 1.0.0\n",
                "Helm's description of a chart (it has `apiVersion` and `version`)" + kMoveIt),
        foreign("HelmValues", "replicaCount: 1\nimage: {repository: mine}\n",
                "values of a Helm chart (it has `replicaCount`)" + kMoveIt),
        BadFile{"HelmValuesByName", "endpoints/values.yml", "image: {repository: mine}\n",
                "endpoints/values.yml:1: is values of a Helm chart (by its name)" + kMoveIt},
        BadFile{
            "JobOfAzureMl", kNewFile,
            "$schema: https://azuremlschemas.azureedge.net/latest/pipelineJob.schema.json\ntype: pipeline\n",
            "endpoints/new.yml:1: $schema: `pipelineJob` is neither an online endpoint nor an online deployment; allowed: "},
        router_yaml("ADeploymentAsRouterYaml", kNames,
                    "1: is a file of Azure ML, no router.yaml: `endpoints` of router.yaml names it"),
        router_yaml("AnEndpointAsRouterYaml",
                    "$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineEndpoint.schema.json\nname: iris\n",
                    "1: is a file of Azure ML, no router.yaml"),
        router_yaml("AResourceAsRouterYaml", "apiVersion: v1\nkind: ConfigMap\n",
                    "1: is a resource of Kubernetes, no router.yaml")),
    name_of);

TEST(Slips, AForeignFileIsOneMistake) {
  const ConfigFolder folder;
  folder.write(kNewFile, "services:\n  model: {image: mine}\nnetworks: {}\nvolumes: {}\n");
  const std::string told = folder.mistakes();
  EXPECT_EQ(told.find('\n'), told.npos) << told;
}

TEST(Slips, AreNoneWhereTheTextIsMeant) {
  const ConfigFolder folder;
  folder.write(kBlue, kNames + "tags: {template: 'a {{b}} c', html: <b>}\ndescription: \"{{why}}\"\n" +
                          "environment_variables: {PROMPT: '<s>{{question}}</s>', MAKEFILE: \"all:\\n\\techo\"}\n" +
                          "router: {replicas: ['10.0.0.1']}\n");
  EXPECT_EQ(folder.mistakes(), "");
}

TEST(Slips, ATabElsewhereIsNotBlamed) {
  const ConfigFolder folder;
  folder.write(kBlue, kNames + "description: |\n  all:\n  \techo\nrouter: [}\n");
  EXPECT_EQ(folder.mistakes().find("tab"), std::string::npos) << folder.mistakes();
}

TEST(Slips, AKeyOfAResourceIsSaidToBelongWhereResourcesHaveIt) {
  EXPECT_EQ(where_known("secretName", Described::kEndpoint, Source::kResource), "it belongs at `router.keys.secretName`");
  EXPECT_EQ(where_known("secretName", Described::kEndpoint, Source::kFile), "");
  EXPECT_EQ(where_known("replicas", Described::kDeployment, Source::kResource), "");
}

TEST(LogLevel, WarnIsWarning) {
  for (const char* spelled : {"warn", "warning", "WARN"}) {
    const ConfigFolder folder;
    folder.write("router.yaml", std::string(ConfigFolder::kRouter) + "log: {level: " + spelled + "}\n");
    EXPECT_EQ(folder.load()->process.log_level, LogLevel::kWarning) << spelled;
  }
}

}  // namespace
}  // namespace router::config::test

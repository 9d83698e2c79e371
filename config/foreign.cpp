#include "config/foreign.h"

#include <algorithm>
#include <initializer_list>
#include <string_view>

namespace router::config {
namespace {

constexpr const char* kMoveIt =
    ", neither an endpoint nor a deployment; move it out of the folder, or let `endpoints` of router.yaml name only the "
    "intended files";

/// Files of a tool, recognized by keys that neither endpoints nor deployments have: one of `first` and, if not empty, one of
/// `second`.
struct Tool {
  const char* what;
  std::initializer_list<const char*> first;
  std::initializer_list<const char*> second;
};
const Tool kTools[] = {
    {"a file of Docker Compose", {"services"}, {}},
    {"a workflow of GitHub", {"jobs"}, {"on"}},
    {"a pipeline of Azure DevOps", {"trigger", "pool", "stages", "steps"}, {"steps", "jobs", "stages"}},
    {"an environment of conda", {"dependencies"}, {"channels", "name", "prefix"}},
    {"Helm's description of a chart", {"apiVersion"}, {"appVersion", "version"}},
    {"values of a Helm chart", {"replicaCount", "fullnameOverride", "nameOverride", "imagePullSecrets"}, {}},
    {"a configuration of Prometheus", {"scrape_configs", "rule_files"}, {}},
    {"a configuration of Envoy", {"static_resources", "dynamic_resources"}, {}},
    {"a description of an API (OpenAPI)", {"openapi", "swagger"}, {"paths", "info"}},
};

const char* first_of(const MapReader& document, std::initializer_list<const char*> keys) {
  const auto found = std::find_if(keys.begin(), keys.end(), [&](const char* key) { return document.has(key); });
  return found == keys.end() ? nullptr : *found;
}

std::string describe_resource(const MapReader& document) {
  const std::string kind = document.plain_text("kind");
  const bool ours = document.plain_text("apiVersion").starts_with("inference-router.dev/");
  std::string told =
      "is a resource of Kubernetes (" + std::string(kind.empty() ? "it has `kind`" : "kind " + shown(kind)) + ")";
  if (ours) {
    return told +
           ", no file for `endpoints`: apply it to the cluster with `kubectl apply -f`; a router with `kubernetes` in "
           "router.yaml follows it there. Here Azure ML's own file is expected, which `inference-router convert` converts to "
           "such resources";
  }
  return told + kMoveIt + "; resources are applied to the cluster with `kubectl apply -f`";
}

std::string describe_tool(const MapReader& document) {
  for (const Tool& tool : kTools) {
    const char* first = first_of(document, tool.first);
    const char* second = tool.second.size() == 0 ? first : first_of(document, tool.second);
    if (first == nullptr || second == nullptr) continue;
    const std::string also = second == first ? "" : " and `" + std::string(second) + "`";
    return std::string("is ") + tool.what + " (it has `" + first + "`" + also + ")" + kMoveIt;
  }
  const std::string& file = document.file();
  const std::string name = file.substr(file.rfind('/') + 1);
  const bool named_so = name == "values.yaml" || name == "values.yml";
  if (named_so && !document.has("name")) return std::string("is values of a Helm chart (by its name)") + kMoveIt;
  return {};
}

}  // namespace

std::string describe_foreign(const MapReader& document) {
  if (document.has("apiVersion") && document.has("kind")) return describe_resource(document);
  if (first_of(document, {"$schema", "endpoint_name", "auth_mode", "traffic"}) != nullptr) return {};
  return describe_tool(document);
}

std::string describe_foreign_router_yaml(const MapReader& document) {
  if (document.has("listeners")) return {};
  if (document.has("apiVersion") && document.has("kind")) {
    return "is a resource of Kubernetes, no router.yaml; a router with `kubernetes` in router.yaml follows the resources that "
           "`kubectl apply -f` creates in the cluster";
  }
  if (document.has("endpoint_name") || lower_case(document.plain_text("$schema")).find("online") != std::string::npos) {
    return "is a file of Azure ML, no router.yaml: `endpoints` of router.yaml names it, such as `endpoints: [endpoints/*.yml]`";
  }
  return {};
}

}  // namespace router::config

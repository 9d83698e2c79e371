#include "router/convert/remarks.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>

#include <algorithm>

#include "config/reader.h"

namespace router::convert {
namespace {

using config::AuthMode;
using Kind = YamlValue::Kind;

/// The scalar at `path`; empty if there is none.
std::string scalar_at(const YamlValue& document, const std::vector<std::string>& path) {
  const YamlValue* value = find(document, path);
  return value != nullptr && value->kind == Kind::kScalar ? value->scalar : "";
}

bool has(const YamlValue& document, const std::vector<std::string>& path) { return find(document, path) != nullptr; }

/// `blue: 100`, or `blue: 100, green: 0`.
std::string first_gets_all(const std::vector<std::string>& deployments) {
  if (deployments.empty()) return "NAME: 100";
  std::string shares;
  for (const std::string& each : deployments) {
    absl::StrAppend(&shares, shares.empty() ? "" : ", ", config::shown_key(each), shares.empty() ? ": 100" : ": 0");
  }
  return shares;
}

/// `type: default` means a fixed number of instances.
bool scales(const YamlValue& document) {
  return has(document, {"scale_settings"}) && config::lower_case(scalar_at(document, {"scale_settings", "type"})) != "default";
}

long long scale_bound(const YamlValue& document, const char* key) {
  long long bound = 0;
  return absl::SimpleAtoi(scalar_at(document, {"scale_settings", key}), &bound) ? std::max(bound, 1LL) : 1;
}

std::string about_code(const YamlValue& document) {
  const std::string script = scalar_at(document, {"code_configuration", "scoring_script"});
  return absl::StrCat(
      "code_configuration: Azure ML runs it with azureml-inference-server-http. Here the image must hold both and start "
      "azmlinfsrv --entry_script ",
      script.empty() ? "SCRIPT" : config::shown_key(script), ", with the folder of the model in AZUREML_MODEL_DIR");
}

/// For these types, Azure ML chooses the server and provides its routes and its image.
std::string about_server(const YamlValue& document) {
  const std::string type = config::lower_case(scalar_at(document, {"model", "type"}));
  const std::string registered = scalar_at(document, {"model"});
  if (type == "triton_model") {
    return "model, triton_model: Azure ML runs Triton for it. Here: environment.image of nvcr.io/nvidia/tritonserver, started "
           "with tritonserver --model-repository=FOLDER, and environment.inference_config with scoring_route: {port: 8000, "
           "path: "
           "/}, readiness_route: {port: 8000, path: /v2/health/ready}, liveness_route: {port: 8000, path: /v2/health/live}. "
           "Its clients send requests to …/score/v2/models/NAME/infer";
  }
  if (type == "mlflow_model") {
    return "model, mlflow_model: Azure ML makes image and scoring script for it. Here: environment.image made by mlflow models "
           "build-docker --model-uri FOLDER --name IMAGE, and environment.inference_config with scoring_route: {port: 8080, "
           "path: "
           "/invocations}, readiness_route and liveness_route: {port: 8080, path: /ping}. Azure ML's server takes "
           "{\"input_data\": …}, MLflow's takes {\"dataframe_split\": …}, {\"instances\": …} or {\"inputs\": …}";
  }
  if (type == "custom_model") {
    return "model, custom_model: without code_configuration the image itself serves the model: environment.image must be a "
           "model server, and environment.inference_config says its port and paths";
  }
  if (!registered.empty() && !has(document, {"environment"})) {
    return absl::StrCat("model, ", config::shown(registered),
                        ": its type is not in this file. Azure ML runs an mlflow_model or a triton_model without code; here "
                        "environment.image must be a server for it, and environment.inference_config says its port and paths");
  }
  return "";
}

}  // namespace

Remarks remarks_on_traffic(const config::EndpointDocument& read, const std::vector<std::string>& deployments) {
  const bool some = std::any_of(read.traffic.begin(), read.traffic.end(), [](const auto& share) { return share.percent > 0; });
  if (some) return {};
  return {absl::StrCat(
      "traffic: no deployment gets any, so a request without the header azureml-model-deployment is answered with 404. Azure's "
      "command line sets it (az ml online-endpoint update --traffic, or --all-traffic); here it stands in spec: traffic: {",
      first_gets_all(deployments), "}")};
}

Remarks remarks_on_auth_mode(const YamlValue& document, const config::EndpointDocument& read) {
  if (read.endpoint.auth_mode == AuthMode::kKey) return {};
  return {absl::StrCat("auth_mode, ", config::shown(scalar_at(document, {"auth_mode"})),
                       ": tokens are not checked yet. The endpoint stays closed: each request is answered with 401 (condition "
                       "Ready: AuthModeUnsupported) until it says auth_mode: key")};
}

Remarks remarks_on_scaling(const YamlValue& document, const std::string& name, const std::string& namespace_name) {
  if (!scales(document)) return {};
  const long long pods = first_pods(document);
  const long long least = scale_bound(document, "min_instances");
  const long long most = std::max(scale_bound(document, "max_instances"), least);
  return {absl::StrCat("scale_settings: no effect here, the Deployment keeps ", pods, pods == 1 ? " pod" : " pods",
                       ". kubectl autoscale deployment ", name, " --namespace ", namespace_name, " --min ", least, " --max ",
                       most, " scales it by CPU; Azure ML counts busy instances")};
}

Remarks remarks_on_model(const YamlValue& document) {
  Remarks remarks;
  for (const char* key : {"model", "code_configuration"}) {
    if (!has(document, {key})) continue;
    remarks.push_back(
        absl::StrCat(key, ": Azure ML brings it into the pod, Kubernetes does not: the image must hold it, or a volume"));
  }
  if (has(document, {"environment", "inference_config"})) return remarks;  // the document describes its own server
  if (has(document, {"code_configuration"})) {
    remarks.push_back(about_code(document));
  } else if (const std::string server = about_server(document); !server.empty()) {
    remarks.push_back(server);
  }
  return remarks;
}

long long first_pods(const YamlValue& document) {
  long long count = 0;
  if (absl::SimpleAtoi(scalar_at(document, {"instance_count"}), &count)) return count;
  return scales(document) ? scale_bound(document, "min_instances") : 1;
}

}  // namespace router::convert

#include "router/convert/remarks.h"

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

/// `type: default` means a fixed number of instances, which the Deployment states already.
bool is_scaled(const config::Deployment& read) {
  return read.scale_settings && read.scale_settings->type == config::ScaleSettings::Type::kTargetUtilization;
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

Remarks remarks_on_scaling(const config::Deployment& read) {
  if (!is_scaled(read)) return {};
  const int pods = first_pods(read);
  return {
      absl::StrCat("scale_settings: a router whose autoscaler acts keeps ", read.scale_settings->min_instances, " to ",
                   read.scale_settings->max_instances,
                   " pods (autoscaler: act of the chart or of router.yaml; it needs the annotation scaled-for, and no "
                   "HorizontalPodAutoscaler of this Deployment). By default it observes and changes nothing: the Deployment "
                   "keeps ",
                   pods, pods == 1 ? " pod" : " pods")};
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

int first_pods(const config::Deployment& read) {
  if (read.instance_count) return *read.instance_count;
  return is_scaled(read) ? std::max(read.scale_settings->min_instances, 1) : 1;
}

}  // namespace router::convert

#include "config/azureml.h"

#include <algorithm>

#include "config/foreign.h"

namespace router::config {
namespace {

bool is_name(std::string_view name) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto is_allowed = [is_letter](char c) { return is_letter(c) || (c >= '0' && c <= '9') || c == '-'; };
  return name.size() >= 3 && name.size() <= 32 && is_letter(name.front()) && name.back() != '-' &&
         std::all_of(name.begin(), name.end(), is_allowed);
}

/// `https://azuremlschemas.azureedge.net/latest/commandJob.schema.json` -> `commandJob`.
std::string_view schema_name(std::string_view schema) {
  const std::string_view file = schema.substr(schema.rfind('/') + 1);
  return file.substr(0, file.find('.'));
}

}  // namespace

void check_name(const std::string& name, const Location& location, Findings& findings) {
  if (is_name(name)) return;
  findings.mistake(location, shown(name) + " is not a name: 3 to 32 letters, digits and dashes, a letter first, no dash last");
}

std::string read_name(MapReader& document, const std::string& key) {
  std::string name = document.required_text(key);
  if (!name.empty()) check_name(name, document.location(key), document.findings());
  return name;
}

DocumentKind kind_of(MapReader document) {
  if (const std::string told = describe_foreign(document); !told.empty()) {
    document.findings().mistake(document.location(), told);
    return DocumentKind::kOther;
  }
  if (document.has("$schema")) {
    const std::optional<std::string> written = document.text("$schema");
    if (!written) return DocumentKind::kOther;
    const std::string schema = lower_case(*written);
    if (schema.find("onlinedeployment") != std::string::npos) return DocumentKind::kDeployment;
    if (schema.find("onlineendpoint") != std::string::npos) return DocumentKind::kEndpoint;
    document.mistake("$schema", shown(schema_name(*written)) +
                                    " is neither an online endpoint nor an online deployment; allowed: "
                                    "kubernetesOnlineEndpoint, kubernetesOnlineDeployment, managedOnlineEndpoint, "
                                    "managedOnlineDeployment. Move a file of anything else out of the folder, or let "
                                    "`endpoints` of router.yaml name only the intended files");
    return DocumentKind::kOther;
  }
  for (const char* key : {"auth_mode", "traffic", "mirror_traffic"}) {
    if (document.has(key) && !document.has("endpoint_name")) return DocumentKind::kEndpoint;
  }
  for (const char* key : {"endpoint_name", "model", "environment", "code_configuration", "request_settings", "instance_type",
                          "instance_count", "scale_settings", "resources", "readiness_probe", "liveness_probe"}) {
    if (document.has(key)) return DocumentKind::kDeployment;
  }
  return DocumentKind::kEndpoint;
}

}  // namespace router::config

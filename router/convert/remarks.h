#pragma once

#include <string>
#include <vector>

#include "config/azureml.h"
#include "router/convert/yaml_text.h"

/// Remarks on a document: where Azure ML and this router differ, and what an operator has to do. One line each, for YAML
/// comments; empty if there is none. Any thread.
namespace router::convert {

using Remarks = std::vector<std::string>;

/// Azure's endpoint files hold no traffic; its command line sets it. `deployments` are the known deployments of the endpoint.
Remarks remarks_on_traffic(const config::EndpointDocument& read, const std::vector<std::string>& deployments);
Remarks remarks_on_auth_mode(const YamlValue& document, const config::EndpointDocument& read);
/// `name` is the name of the Deployment in `namespace_name`.
Remarks remarks_on_scaling(const YamlValue& document, const std::string& name, const std::string& namespace_name);
/// What Azure ML adds to the pod, and which server it runs there if the file names none.
Remarks remarks_on_model(const YamlValue& document);

/// The initial number of pods: `instance_count`, otherwise the minimum of `scale_settings`, otherwise 1.
long long first_pods(const YamlValue& document);

}  // namespace router::convert

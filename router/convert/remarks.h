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
Remarks remarks_on_scaling(const config::Deployment& read);
/// What Azure ML adds to the pod, and which server it runs there if the file names none.
Remarks remarks_on_model(const YamlValue& document);

/// The initial number of pods: `instance_count`, otherwise the minimum of `scale_settings` but at least 1, otherwise 1.
int first_pods(const config::Deployment& read);

}  // namespace router::convert

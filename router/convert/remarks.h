#pragma once

#include <string>
#include <vector>

#include "config/azureml.h"
#include "router/convert/yaml_text.h"

/// What differs between Azure ML and here for a document, and what to do then. One line each, for a comment; empty if there is
/// nothing to say. Any thread.
namespace router::convert {

using Remarks = std::vector<std::string>;

/// Azure's files of endpoints hold no traffic: its command line sets it. `deployments` are the endpoint's, as far as known.
Remarks remarks_on_traffic(const config::EndpointDocument& read, const std::vector<std::string>& deployments);
Remarks remarks_on_auth_mode(const YamlValue& document, const config::EndpointDocument& read);
/// `name` is that of the Deployment, in `namespace_name`.
Remarks remarks_on_scaling(const YamlValue& document, const std::string& name, const std::string& namespace_name);
/// What Azure ML puts into the pod, and which server it runs there where the file names none.
Remarks remarks_on_model(const YamlValue& document);

/// How many pods the Deployment begins with: `instance_count`, or else the fewest that `scale_settings` allow.
long long first_pods(const YamlValue& document);

}  // namespace router::convert

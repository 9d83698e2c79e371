#pragma once

#include <string>
#include <vector>

#include "config/azureml.h"
#include "router/convert/yaml_text.h"

namespace router::convert {

/// The Deployment and the Service that run a deployment's model, as far as its document describes them. Both have the name that
/// the router expects (`{endpoint}-{deployment}`).
struct Pods {
  Value deployment;
  Value service;
  std::vector<std::string> remarks;  // what an operator has to check, one line each
};

/// `read` is the deployment that was read from `document`. Both objects are in the namespace `namespace_name`.
Pods make_pods(const YamlValue& document, const config::Deployment& read, const std::string& namespace_name);

}  // namespace router::convert

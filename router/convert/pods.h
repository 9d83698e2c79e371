#pragma once

#include <string>
#include <vector>

#include "config/azureml.h"
#include "router/convert/yaml_text.h"

namespace router::convert {

/// What runs a deployment's model, as far as its document says it: a Deployment and a Service, both of the name that the router
/// looks for (`{endpoint}-{deployment}`).
struct Pods {
  Value deployment;
  Value service;
  std::vector<std::string> remarks;  // what an operator has to look after, one line each
};

/// `document` is what `read` was read from. `namespace_name` is the namespace.
Pods make_pods(const YamlValue& document, const config::Deployment& read, const std::string& namespace_name);

}  // namespace router::convert

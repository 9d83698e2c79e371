#pragma once

#include <string>
#include <vector>

#include "config/config.h"
#include "config/reader.h"

namespace router::config {

/// The documents of Azure ML's CLI v2 (`kubernetesOnline…` and `managedOnline…` endpoints and deployments), with our `router:`
/// key. Every key of the public schemas is known: used, or accepted and told in `ignored_keys`.
bool is_deployment(const MapReader& document);
Endpoint read_endpoint(MapReader document);
Deployment read_deployment(MapReader document);

/// A path as written, made absolute against the folder of the file that names it.
std::string absolute_path(const std::string& file, const std::string& path);

}  // namespace router::config

#pragma once

#include <vector>

#include "config/azureml.h"

namespace router::config {

/// Adds deployments to their endpoints and checks what needs all files: duplicate names, deployments without an endpoint,
/// traffic for unknown deployments, host names of two endpoints. Names are compared without case. `complete` is false if a file
/// could not be read: a missing endpoint or deployment may be in that file, and is no mistake then.
std::vector<Endpoint> join(std::vector<EndpointDocument> endpoints, std::vector<DeploymentDocument> deployments, bool complete,
                           Findings& findings);

}  // namespace router::config

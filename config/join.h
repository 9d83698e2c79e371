#pragma once

#include <vector>

#include "config/azureml.h"

namespace router::config {

/// Puts deployments under their endpoints and checks what only shows when all files are known: names that are given twice,
/// deployments without endpoint, traffic for nobody, host names of two endpoints. Names are compared without case.
/// `complete` is false if a file could not be read: what is missing may then stand there, and is no mistake.
std::vector<Endpoint> join(std::vector<EndpointDocument> endpoints, std::vector<DeploymentDocument> deployments, bool complete,
                           Findings& findings);

}  // namespace router::config

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "router/discovery/replica_source.h"
#include "router/serving/live_deployment.h"

/// Texts for operators and clients: why replicas get no requests. Control thread.
namespace router::serving {

/// Why a replica is not ready, if Kubernetes decides whether it is.
std::string source_says_not_ready(const config::Deployment& settings);

/// Why replicas of a deployment get no requests: `of 3 replicas, 2: connection refused; 1: 404 from GET /healthz`. Clients see
/// the text, so it names no replica and no address. `missing`: replicas that a file lists and that cannot be used now. Null if
/// all replicas get requests.
std::shared_ptr<const std::string> trouble_of(const LiveDeployment& deployment,
                                              const std::vector<discovery::FileReplicas::Missing>& missing);

}  // namespace router::serving

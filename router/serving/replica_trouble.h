#pragma once

#include <memory>
#include <string>
#include <vector>

#include "router/discovery/replica_source.h"
#include "router/serving/live_deployment.h"

/// Why replicas get no requests, in words for operators and clients. Control thread.
namespace router::serving {

/// Why a replica is not ready of which Kubernetes tells whether it is.
std::string source_says_not_ready(const config::Deployment& settings);

/// Why replicas of a deployment get no requests: `of 3 replicas, 2: connection refused; 1: 404 from GET /healthz`. For clients,
/// so it names no replica and no address. `missing`: those that a file lists and that have no address. Null: all of them do.
std::shared_ptr<const std::string> trouble_of(const LiveDeployment& deployment,
                                              const std::vector<discovery::FileReplicas::Missing>& missing);

}  // namespace router::serving

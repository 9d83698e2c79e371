#pragma once

#include <map>
#include <memory>
#include <vector>

#include "config/config.h"
#include "config/findings.h"
#include "router/serving/client_contexts.h"
#include "router/serving/live_deployment.h"

namespace router::serving {

/// TLS towards the replicas of each deployment that has any.
using Transports = std::map<DeploymentKey, std::shared_ptr<const upstream::Transport>>;

/// What becomes of a file of authorities that cannot be used.
struct UnusableAuthorities {
  bool is_mistake = true;  // false: what it held in `in_force` stays, or the deployment is closed, with a warning
  const ClientContexts* in_force = nullptr;
  std::vector<config::UpstreamTls> refused{};  // gets each such file once
};

/// Reads and checks the TLS settings of every deployment; mistakes go to `findings`. A deployment whose authorities are not
/// known has a transport that trusts nobody: never one that does not verify. Control thread.
Transports load_transports(const std::vector<const config::Deployment*>& deployments, ClientContexts& contexts,
                           config::Findings& findings, UnusableAuthorities& unusable);

}  // namespace router::serving

#pragma once

#include <map>
#include <memory>
#include <vector>

#include "config/config.h"
#include "config/findings.h"
#include "router/serving/client_contexts.h"
#include "router/serving/live_deployment.h"

namespace router::serving {

/// TLS towards the replicas, for each deployment that uses TLS.
using Transports = std::map<DeploymentKey, std::shared_ptr<const upstream::Transport>>;

/// What happens if a file of authorities cannot be used.
struct UnusableAuthorities {
  bool is_mistake = true;  // false: a warning; what it held in `in_force` stays, or the deployment is closed
  const ClientContexts* in_force = nullptr;
  std::vector<config::UpstreamTls> refused{};  // output: each such file once
};

/// Reads and checks the TLS settings of every deployment; mistakes go to `findings`. A deployment without usable authorities
/// gets a transport that trusts nobody, never one that does not verify. Control thread.
Transports load_transports(const std::vector<const config::Deployment*>& deployments, ClientContexts& contexts,
                           config::Findings& findings, UnusableAuthorities& unusable);

}  // namespace router::serving

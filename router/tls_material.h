#pragma once

#include <memory>
#include <vector>

#include "config/config.h"
#include "config/findings.h"
#include "router/live_deployments.h"
#include "tls/context.h"

namespace router {

/// What the files of a configuration hold that only OpenSSL can judge: read once, so that what was found good is what is used.
struct TlsMaterial {
  std::shared_ptr<tls::TicketKeys> ticket_keys;
  /// In the order of router.yaml, then by shard; nothing for a plaintext listener.
  std::vector<std::vector<std::shared_ptr<tls::ServerContext>>> listeners;
  LiveDeployments::Transports transports;
};

/// Reads certificates, ticket keys and the authorities of replicas. Everything that is wrong goes to `findings`, at the key
/// that names the file; then what is returned is not whole. The contexts use `ticket_keys_in_force`, which nothing is done to
/// here. Control thread.
TlsMaterial read_tls(const config::Process& process, const std::vector<const config::Deployment*>& deployments,
                     const std::shared_ptr<tls::TicketKeys>& ticket_keys_in_force, std::size_t shards,
                     config::Findings& findings);

}  // namespace router

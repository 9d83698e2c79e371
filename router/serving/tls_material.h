#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "config/config.h"
#include "config/findings.h"
#include "router/serving/client_contexts.h"
#include "router/serving/transports.h"
#include "tls/context.h"

namespace router::serving {

/// Why the files are read. It decides what happens if one cannot be used (docs/decisions/0042).
enum class ReadingFor {
  kCheck,   // every unusable file is a mistake
  kStart,   // an unusable certificate of a listener is a mistake; an unusable file of authorities closes its deployment
  kReload,  // an unusable certificate refuses only itself, too: the one in force stays
};

/// What was read last and is in force. It stays in force if its file cannot be used any more.
struct TlsInForce {
  struct Certificate {
    tls::CertificateFiles files;
    tls::SharedCredential credential;
  };
  using ListenerName = std::pair<std::string, std::uint16_t>;  // address and port as router.yaml writes them
  std::map<ListenerName, std::vector<Certificate>> certificates;
  std::shared_ptr<ClientContexts> authorities;  // null: none yet
};

/// Files that could not be used: an older content stays in force, or nothing takes their place.
struct RefusedFiles {
  std::vector<tls::CertificateFiles> certificates;
  std::vector<config::UpstreamTls> authorities;  // each file once
  bool any() const { return !certificates.empty() || !authorities.empty(); }
};

/// Whether any of them can be used now. Reads files. Control thread.
bool can_be_used(const RefusedFiles& refused);

/// What only OpenSSL can check in the files of a configuration. They are read once, so that what was checked is what is used.
struct TlsMaterial {
  std::shared_ptr<tls::TicketKeys> ticket_keys;
  /// In the order of router.yaml, then by shard; nothing for a plaintext listener.
  std::vector<std::vector<std::shared_ptr<tls::ServerContext>>> listeners;
  Transports transports;
  TlsInForce in_force;  // once this material is
  RefusedFiles refused;
};

/// How `read_tls` reads.
struct ReadTlsOptions {
  ReadingFor what_for = ReadingFor::kCheck;
  std::size_t shards = 1;
  std::shared_ptr<tls::TicketKeys> ticket_keys = nullptr;  // those in force, which the contexts use; not changed here
};

/// Reads certificates, ticket keys and the authorities of replicas. Problems go to `findings`, at the key that names the file.
/// If there are mistakes, the result is incomplete; warnings say what stays as it is. Control thread.
TlsMaterial read_tls(const config::Process& process, const std::vector<const config::Deployment*>& deployments,
                     const TlsInForce& in_force, const ReadTlsOptions& options, config::Findings& findings);

}  // namespace router::serving

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

/// Why the files are read: that decides what becomes of one that cannot be used (docs/decisions/0042).
enum class ReadingFor {
  kCheck,   // every one is a mistake
  kStart,   // a certificate of a listener is a mistake; a deployment whose authorities cannot be read is closed
  kReload,  // a certificate refuses itself as well: the one in force stays
};

/// What was read at the last time and is in force: it stays where a file cannot be used any more.
struct TlsInForce {
  struct Certificate {
    tls::CertificateFiles files;
    tls::SharedCredential credential;
  };
  using ListenerName = std::pair<std::string, std::uint16_t>;  // address and port as router.yaml writes them
  std::map<ListenerName, std::vector<Certificate>> certificates;
  std::shared_ptr<ClientContexts> authorities;  // null: none yet
};

/// Files that could not be used, so that something else is in force, or nothing.
struct RefusedFiles {
  std::vector<tls::CertificateFiles> certificates;
  std::vector<config::UpstreamTls> authorities;  // each file once
  bool any() const { return !certificates.empty() || !authorities.empty(); }
};

/// Whether any of them can be used by now. Reads files; control thread.
bool can_be_used(const RefusedFiles& refused);

/// What the files of a configuration hold that only OpenSSL can judge: read once, so that what was found good is what is used.
struct TlsMaterial {
  std::shared_ptr<tls::TicketKeys> ticket_keys;
  /// In the order of router.yaml, then by shard; nothing for a plaintext listener.
  std::vector<std::vector<std::shared_ptr<tls::ServerContext>>> listeners;
  Transports transports;
  TlsInForce in_force;  // once this is
  RefusedFiles refused;
};

/// How `read_tls` reads.
struct ReadTlsOptions {
  ReadingFor what_for = ReadingFor::kCheck;
  std::size_t shards = 1;
  std::shared_ptr<tls::TicketKeys> ticket_keys =
      nullptr;  // those in force, which the contexts use; nothing is done to them here
};

/// Reads certificates, ticket keys and the authorities of replicas. What is wrong goes to `findings`, at the key that names the
/// file: mistakes, and then what is returned is not whole, or warnings of what is left as it is. Control thread.
TlsMaterial read_tls(const config::Process& process, const std::vector<const config::Deployment*>& deployments,
                     const TlsInForce& in_force, const ReadTlsOptions& options, config::Findings& findings);

}  // namespace router::serving

#pragma once

#include <absl/status/statusor.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

typedef struct ssl_ctx_st SSL_CTX;

namespace router::tls {

/// A mistake in one of the files that an operator names.
struct FileMistake {
  enum class Role { kCertificate, kKey, kPassword, kTicketKey };
  Role role = Role::kCertificate;
  std::size_t index = 0;  // of the certificate, or of the file of a ticket key, among those given
  std::string text;       // `file: what is wrong`; contains nothing of a key or a password
};

struct CertificateFiles {
  std::string certificate_file;  // PEM, the whole chain, leaf first
  std::string key_file;
  std::string password_file;  // empty: the key is not encrypted
  auto operator<=>(const CertificateFiles&) const = default;
};

/// The time of day, which tests replace. Read once in each handshake, without a system call (vDSO).
using WallClock = std::chrono::sys_seconds (*)();
std::chrono::sys_seconds wall_clock() noexcept;

struct ServerOptions {
  std::vector<CertificateFiles> certificates;  // the first is the default
  bool tls13_only = false;
  std::vector<std::string> ticket_key_files;  // for TicketKeys::make
  std::vector<std::string> alpn{"http/1.1"};  // a client that offers only others is refused (RFC 7301, section 3.2)
  WallClock now = wall_clock;                 // decides which of several certificates for one name is used
};

struct CertificateInfo {
  std::string file;
  std::vector<std::string> names;  // lower case: subjectAltName (or CN where there is none)
  std::chrono::sys_seconds not_before;
  std::chrono::sys_seconds not_after;  // in seconds: no expiry is the year 9999, out of the range of nanoseconds
};

/// A certificate with its chain and its private key, read and checked. Immutable.
struct Credential;
using SharedCredential = std::shared_ptr<const Credential>;
/// Reads and checks a certificate. Null if it cannot be used: malformed PEM, a key that does not match, a wrong password, …
/// Adds each mistake to `mistakes`, with `index` as that of the certificate. An expired certificate, or one that is not valid
/// yet, is no mistake.
SharedCredential load_credential(const CertificateFiles& files, std::size_t index, std::vector<FileMistake>& mistakes);
const CertificateInfo& info_of(const Credential& credential);

/// The keys of session tickets, shared by all contexts, also across reloads. Random keys are rotated every hour; the previous
/// ones are still accepted. Thread-safe (read by every shard, written by control).
class TicketKeys {
 public:
  /// Random keys, or those of the files (80 bytes each, nginx's format). `mistakes`, if given, gets all mistakes; the status
  /// has the first.
  static absl::StatusOr<std::shared_ptr<TicketKeys>> make(const std::vector<std::string>& files,
                                                          std::vector<FileMistake>* mistakes = nullptr);
  /// Control thread: takes the keys of `fresh`, which apply from now on to every shard. If both are random, the old keys stay,
  /// so that a reload invalidates no session.
  void replace_by(TicketKeys& fresh) noexcept;
  void rotate();  // control thread, once an hour; does nothing if the keys come from files
  struct Keys;
  ~TicketKeys();

 private:
  friend class ServerContext;
  TicketKeys();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// What a shard needs to accept TLS on one listener: an SSL_CTX for each selection of certificates, chosen by SNI (exact name,
/// then wildcard, then the default), with ECDSA and RSA for one name. Of several certificates for one name, each handshake
/// chooses one that is valid at that time (docs/decisions/0042). Immutable; made by the control thread, one for each shard.
class ServerContext {
 public:
  /// Uses certificates that are in memory, at least one; the first is the default. Does not read the files that `options`
  /// names.
  static absl::StatusOr<std::vector<std::shared_ptr<ServerContext>>> make(const ServerOptions& options,
                                                                          const std::vector<SharedCredential>& credentials,
                                                                          const std::shared_ptr<TicketKeys>& ticket_keys,
                                                                          std::size_t shards);
  /// Reads and checks all files first. Fails with the first mistake, as `file: what is wrong`; `mistakes`, if given, gets all
  /// of them.
  static absl::StatusOr<std::vector<std::shared_ptr<ServerContext>>> make(const ServerOptions& options,
                                                                          const std::shared_ptr<TicketKeys>& ticket_keys,
                                                                          std::size_t shards,
                                                                          std::vector<FileMistake>* mistakes = nullptr);
  ~ServerContext();
  SSL_CTX* get() const;
  const std::vector<CertificateInfo>& certificates() const;

 private:
  ServerContext();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// PEM that is in memory already.
struct PemText {
  std::string name;  // where it comes from, for messages
  std::string text;
};

/// The certificate with which a client authenticates.
struct ClientCertificate {
  PemText certificate;  // the whole chain, leaf first
  PemText key;          // not encrypted
};

struct ClientOptions {
  bool verify = true;
  std::string ca_file;        // empty: the system's trust store
  std::optional<PemText> ca;  // instead of that file
  bool trust_nobody = false;  // no authorities at all: no handshake succeeds
  std::optional<ClientCertificate> certificate;
  std::vector<std::string> alpn{"http/1.1"};
};

/// TLS for connections that the router opens, one context for each shard.
class ClientContext {
 public:
  static absl::StatusOr<std::vector<std::shared_ptr<ClientContext>>> make(const ClientOptions& options, std::size_t shards);
  ~ClientContext();
  SSL_CTX* get() const;
  /// The trusted authorities as a short text: equal for equal authorities, whatever file they came from. All texts for the
  /// system's are equal.
  const std::string& trust() const;

 private:
  ClientContext();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace router::tls

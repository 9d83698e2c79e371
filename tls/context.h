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

/// What is wrong with one of the files that an operator names.
struct FileMistake {
  enum class Role { kCertificate, kKey, kPassword, kTicketKey };
  Role role = Role::kCertificate;
  std::size_t index = 0;  // of the certificate, or of the ticket key, among those given
  std::string text;       // `file: what is wrong`; nothing of a key or a password
};

struct CertificateFiles {
  std::string certificate_file;  // PEM, the whole chain, leaf first
  std::string key_file;
  std::string password_file;  // empty: the key is not encrypted
  auto operator<=>(const CertificateFiles&) const = default;
};

/// The time of day: the seam at which tests replace it. Read once in a handshake, without a system call (vDSO).
using WallClock = std::chrono::sys_seconds (*)();
std::chrono::sys_seconds wall_clock() noexcept;

struct ServerOptions {
  std::vector<CertificateFiles> certificates;  // the first is the default
  bool tls13_only = false;
  std::vector<std::string> ticket_key_files;  // for whoever makes the TicketKeys
  std::vector<std::string> alpn{"http/1.1"};  // a client that offers only others is refused (RFC 7301, section 3.2)
  WallClock now = wall_clock;                 // decides which of several certificates for one name is shown
};

struct CertificateInfo {
  std::string file;
  std::vector<std::string> names;  // lower case: subjectAltName (or CN where there is none)
  std::chrono::sys_seconds not_before;
  std::chrono::sys_seconds not_after;  // in seconds: what never expires ends in the year 9999, after the nanoseconds do
};

/// A certificate with its chain and its private key, read and found good, in memory. Constant.
struct Credential;
using SharedCredential = std::shared_ptr<const Credential>;
/// Null if it cannot be used: malformed PEM, a key that does not match, a wrong password, … What is wrong goes to `mistakes`,
/// as that of certificate `index`. What time changes is no mistake: it may have expired, or not have begun.
SharedCredential load_credential(const CertificateFiles& files, std::size_t index, std::vector<FileMistake>& mistakes);
const CertificateInfo& info_of(const Credential& credential);

/// Keys of session tickets, shared by all contexts (and by reloads): rotated every hour when random, the previous ones still
/// accepted. Thread-safe (read by every shard, written by control).
class TicketKeys {
 public:
  /// Random keys, or those of the files (80 bytes each, nginx's format). `mistakes`, if given, gets everything that is wrong;
  /// the status tells the first.
  static absl::StatusOr<std::shared_ptr<TicketKeys>> make(const std::vector<std::string>& files,
                                                          std::vector<FileMistake>* mistakes = nullptr);
  /// Control thread: takes the keys of `fresh`, which are in force from now on, on every shard. Random keys stay if `fresh` are
  /// random too, so that a reload ends no session.
  void replace_by(TicketKeys& fresh) noexcept;
  void rotate();  // control thread, once an hour; nothing when the keys come from files
  struct Keys;
  ~TicketKeys();

 private:
  friend class ServerContext;
  TicketKeys();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// What a shard needs to accept TLS on one listener: its own SSL_CTX per certificate, chosen by SNI (exact name, then wildcard,
/// then the default), ECDSA beside RSA for one name. Of several certificates for one name, one that is valid at that moment is
/// chosen, in every handshake anew (docs/decisions/0042). Immutable; made by the control thread, one per shard.
class ServerContext {
 public:
  /// Of certificates that are in memory, at least one; the first is the default. Those that `options` names are not read.
  static absl::StatusOr<std::vector<std::shared_ptr<ServerContext>>> make(const ServerOptions& options,
                                                                          const std::vector<SharedCredential>& credentials,
                                                                          const std::shared_ptr<TicketKeys>& ticket_keys,
                                                                          std::size_t shards);
  /// Reads and checks everything first: fails with `file: what is wrong` of the first mistake; `mistakes`, if given, gets all
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
  std::string name;  // where it was read, for messages
  std::string text;
};

/// Whom a client says that it is.
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

/// TLS to replicas, one per shard.
class ClientContext {
 public:
  static absl::StatusOr<std::vector<std::shared_ptr<ClientContext>>> make(const ClientOptions& options, std::size_t shards);
  ~ClientContext();
  SSL_CTX* get() const;
  /// Whom it trusts, as a short text: equal for equal authorities, whatever file they came from. The system's are all equal.
  const std::string& trust() const;

 private:
  ClientContext();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace router::tls

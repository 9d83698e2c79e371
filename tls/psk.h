#pragma once

#include <absl/status/statusor.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

typedef struct ssl_ctx_st SSL_CTX;

namespace router::tls {

/// TLS 1.3 between processes that share a secret: no certificates, an external PSK with an ephemeral key exchange (RFC 8446,
/// section 2.2, `psk_dhe_ke`), so recorded connections stay secret when a key leaks later. Decision 0069.

/// One or two shared keys. The first one is used to connect; each of them is accepted. A rotation is three steps, each on every
/// process before the next: the new key second, the new key first, the old key gone. A value; wiped when destroyed.
class PskKeys {
 public:
  static constexpr std::size_t kKeyBytes = 32;
  static constexpr std::size_t kKeysMax = 2;
  using Key = std::array<unsigned char, kKeyBytes>;

  /// Reads `text`: one or two lines of 64 hexadecimal digits; empty lines at the end are ignored. Fails with `name:line: what
  /// is wrong`, which contains nothing of a key. The caller overwrites `text`.
  static absl::StatusOr<PskKeys> parse(std::string_view text, const std::string& name);

  PskKeys(const PskKeys&) = default;
  PskKeys& operator=(const PskKeys&) = default;
  ~PskKeys();

  std::size_t size() const { return size_; }
  const Key& operator[](std::size_t index) const { return keys_[index]; }
  /// The same keys in the same order; takes the same time whatever the keys are.
  friend bool operator==(const PskKeys& a, const PskKeys& b);
  /// Whether `others` has each of these keys, in any order; takes the same time whatever the keys are.
  bool all_in(const PskKeys& others) const;

 private:
  PskKeys() = default;
  std::array<Key, kKeysMax> keys_{};
  std::size_t size_ = 0;
};

/// What a connection is for. Each purpose has secrets of its own, derived from the keys: a connection that somebody on the way
/// directs to the reader of another purpose fails in the handshake.
enum class PskPurpose : std::uint8_t { kLink, kRequests };

struct PskSecrets;

/// Accepts connections with any of the keys, and nothing else: no certificates, no TLS 1.2, no tickets, no early data.
/// Immutable: to replace the keys, make another one; connections keep theirs. Made by any thread, one for each shard; outlives
/// its streams.
class PskServerContext {
 public:
  static absl::StatusOr<std::vector<std::shared_ptr<PskServerContext>>> make(const PskKeys& keys, PskPurpose purpose,
                                                                             std::size_t shards);
  ~PskServerContext();
  SSL_CTX* get() const;

 private:
  PskServerContext();
  std::unique_ptr<PskSecrets> secrets_;
};

/// The same for connections that this process opens: with the first key, and only to a peer that has it, too.
class PskClientContext {
 public:
  static absl::StatusOr<std::vector<std::shared_ptr<PskClientContext>>> make(const PskKeys& keys, PskPurpose purpose,
                                                                             std::size_t shards);
  ~PskClientContext();
  SSL_CTX* get() const;

 private:
  PskClientContext();
  std::unique_ptr<PskSecrets> secrets_;
};

}  // namespace router::tls

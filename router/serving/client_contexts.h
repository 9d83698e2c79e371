#pragma once

#include <absl/status/statusor.h>

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/config.h"
#include "tls/context.h"

namespace router::serving {

/// The TLS contexts towards replicas: one set for each pair of `verify` and authorities, shared by all deployments with that
/// pair. The system's trust store holds more than a hundred certificates (30 ms and 0.8 MB for a set), and anyone may write
/// `tls: {}` in a deployment (docs/decisions/0027). A context does not change once it is made. The content of a file is kept
/// until another ClientContexts is made. Control thread.
class ClientContexts {
 public:
  using Set = std::vector<std::shared_ptr<tls::ClientContext>>;  // one per shard, and one more

  explicit ClientContexts(std::size_t shards) : shards_(shards) {}

  /// Fails with `file: what is wrong`. The next call then reads the file again.
  absl::StatusOr<Set> get(const config::UpstreamTls& settings);
  /// For settings with which `get` failed: from now on `get` returns the set that `before` has for them. Returns that set, or
  /// nothing if `before` has none.
  std::optional<Set> take_over(const config::UpstreamTls& settings, const ClientContexts& before);
  /// Contexts without any authorities: no handshake with them succeeds.
  absl::StatusOr<Set> closed();

 private:
  using Key = std::pair<bool, std::string>;
  static Key key_of(const config::UpstreamTls& settings);
  absl::StatusOr<Set> make(const Key& key, const tls::ClientOptions& options);

  const std::size_t shards_;
  std::map<Key, Set> made_;
};

}  // namespace router::serving

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

/// The TLS contexts towards replicas: one set for each pair of `verify` and authorities, whoever asks for it. The system's
/// trust store holds more than a hundred certificates (30 ms and 0.8 MB), and a deployment that says `tls: {}` costs its author
/// nothing: so a set is made once and shared (docs/decisions/0027). A context is constant once it is made.
/// What was read stays as it is until another ClientContexts is made. Control thread.
class ClientContexts {
 public:
  using Set = std::vector<std::shared_ptr<tls::ClientContext>>;  // one per shard, and one for the control thread's probes

  explicit ClientContexts(std::size_t shards) : shards_(shards) {}

  /// Fails with `file: what is wrong`; then the next call reads the file again.
  absl::StatusOr<Set> get(const config::UpstreamTls& settings);
  /// Where that failed: what `before` has for the same settings is what `get` gives from now on; nothing if it has none.
  std::optional<Set> take_over(const config::UpstreamTls& settings, const ClientContexts& before);
  /// Contexts that trust nobody: no handshake with them succeeds.
  absl::StatusOr<Set> closed();

 private:
  using Key = std::pair<bool, std::string>;
  static Key key_of(const config::UpstreamTls& settings);
  absl::StatusOr<Set> make(const Key& key, const tls::ClientOptions& options);

  const std::size_t shards_;
  std::map<Key, Set> made_;
};

}  // namespace router::serving

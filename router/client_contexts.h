#pragma once

#include <absl/status/statusor.h>

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "config/config.h"
#include "tls/context.h"

namespace router {

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

 private:
  const std::size_t shards_;
  std::map<std::pair<bool, std::string>, Set> made_;
};

}  // namespace router

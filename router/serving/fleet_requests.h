#pragma once

#include <absl/status/status.h>

#include <cstddef>
#include <memory>
#include <vector>

#include "router/proxy/server.h"
#include "router/runtime/descriptor.h"
#include "router/runtime/shard_set.h"
#include "tls/psk.h"

namespace router::serving {

/// Hands the connections over which other members send requests on to the shards, in turn. `take` on the fleet's thread,
/// everything else on control. Outlives the shards' messages: destroyed after `ShardSet::close`.
class FleetRequests {
 public:
  using Servers = std::vector<std::unique_ptr<proxy::ShardServer>>;
  FleetRequests(runtime::ShardSet& shards, Servers& servers) : shards_(shards), servers_(servers), contexts_(shards.size()) {}
  FleetRequests(const FleetRequests&) = delete;
  FleetRequests& operator=(const FleetRequests&) = delete;

  /// New connections are accepted with these keys only. On an error nothing changes. Throws std::bad_alloc; nothing has changed
  /// then either.
  absl::Status replace_keys(const tls::PskKeys& keys);
  /// Without keys yet, or without memory, the connection is closed.
  void take(runtime::Descriptor socket);

 private:
  runtime::ShardSet& shards_;
  Servers& servers_;
  std::size_t next_ = 0;                                          // of the fleet's thread
  std::vector<std::shared_ptr<tls::PskServerContext>> contexts_;  // each belongs to its shard
};

}  // namespace router::serving

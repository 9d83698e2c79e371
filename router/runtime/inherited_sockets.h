#pragma once

#include <absl/status/statusor.h>

#include <cstddef>
#include <string>
#include <vector>

#include "router/runtime/accept.h"
#include "router/runtime/address.h"

namespace router::runtime {

/// Listening sockets that the service manager has opened and passed to this process: systemd's socket units, by the protocol of
/// sd_listen_fds(3). They stay open in the service manager, so connections wait there while one process ends and the next one
/// starts. Made before any thread, then used on the control thread. Move-only.
class InheritedSockets {
 public:
  struct Socket {
    Address address;
    std::string name;  // from LISTEN_FDNAMES: usually the name of the unit; may be empty
    ListeningSocket listening;
  };

  InheritedSockets() = default;
  /// Takes as many of the descriptors 3, 4, … as LISTEN_FDS says, if LISTEN_PID is this process; otherwise none. Unsets the
  /// variables, so that the sockets are taken only once. Fails if one of them is not a listening TCP socket, or if LISTEN_FDS
  /// is not a number.
  static absl::StatusOr<InheritedSockets> from_environment();

  const std::vector<Socket>& all() const { return sockets_; }
  bool has(const Address& address) const;
  /// Duplicates of the sockets that were passed for `address` (at least one: `has`), for `shards` shards to accept from. Each
  /// shard gets one. If several were passed (ReusePort=yes), they are distributed over the shards; with fewer shards than
  /// sockets a shard gets several, so that each socket is used. Closing a duplicate leaves the inherited one open. The first of
  /// shard i has index i; further ones follow in the order of the shards. Empty if the process has no descriptors left.
  std::vector<ListeningSocket> shared_out(const Address& address, std::size_t shards) const;

 private:
  std::vector<Socket> sockets_;
};

}  // namespace router::runtime

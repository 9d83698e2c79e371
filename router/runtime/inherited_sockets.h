#pragma once

#include <absl/status/statusor.h>

#include <cstddef>
#include <string>
#include <vector>

#include "router/runtime/accept.h"
#include "router/runtime/address.h"

namespace router::runtime {

/// Listening sockets that whoever started this process had open already and passed on: systemd's socket units, by the protocol
/// of sd_listen_fds(3). They stay open in the one who passed them, so that connections wait there while one process ends and
/// the next begins. Made before any thread, then used on the control thread. Move-only.
class InheritedSockets {
 public:
  struct Socket {
    Address address;
    std::string name;  // as LISTEN_FDNAMES says: usually that of the unit; may be empty
    ListeningSocket listening;
  };

  InheritedSockets() = default;
  /// Those of descriptors 3, 4, … that LISTEN_FDS counts if LISTEN_PID is this process; else none. The variables are unset, so
  /// that nobody takes the sockets twice. Fails where one of them is no listening TCP socket, or a variable is no number.
  static absl::StatusOr<InheritedSockets> from_environment();

  const std::vector<Socket>& all() const { return sockets_; }
  bool has(const Address& address) const;
  /// Sockets for so many shards to accept from. Each shard gets one; where several were passed for the address (ReusePort=yes),
  /// the shards share them out, and with fewer shards than sockets one gets several: no socket is left without. They are
  /// duplicates: closing one leaves the inherited one open. The first of a shard stands at its index, further ones behind all
  /// of these, in the order of the shards. Empty when the process has no descriptors left.
  std::vector<ListeningSocket> shared_out(const Address& address, std::size_t shards) const;

 private:
  std::vector<Socket> sockets_;
};

}  // namespace router::runtime

#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "router/runtime/address.h"
#include "router/runtime/shard.h"

namespace router::runtime {

/// Listening sockets on one address, one per shard, sharing the port (SO_REUSEPORT): the kernel spreads the connections. Port 0
/// picks a free one for all of them. Fails with the address and the reason; then none is open.
absl::StatusOr<std::vector<int>> listen_on(const std::string& address, std::uint16_t port, std::size_t shards);

/// Accepts the connections of one listening socket on its shard.
class Acceptor {
 public:
  /// `accepted` owns the descriptor that it is given.
  using Accepted = std::function<void(int descriptor, const Address& peer)>;

  /// Takes over `listening`. Before the shard runs, or on it.
  Acceptor(Shard& shard, int listening, Accepted accepted);
  ~Acceptor();

  /// Takes what the kernel has completed already, then closes: a connection that was established is never reset by the drain.
  void accept_what_has_arrived_and_close();
  std::uint16_t port() const { return port_; }

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
  std::uint16_t port_ = 0;
};

}  // namespace router::runtime

#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "router/runtime/address.h"
#include "router/runtime/descriptor.h"
#include "router/runtime/shard.h"

namespace router::runtime {

/// Whether the port must be free.
enum class PortUse {
  kMustBeFree,  // a socket that listens there already is an error
  kGivenUp,     // this process listens there, perhaps on another address, and will stop soon: the port is shared until then
};

/// A listening socket that has no Acceptor yet: connections wait in the kernel. Closed when destroyed. Move-only.
class ListeningSocket {
 public:
  explicit ListeningSocket(Descriptor descriptor) : descriptor_(std::move(descriptor)) {}

  std::uint16_t port() const;
  int descriptor() const { return descriptor_.get(); }
  /// Releases the descriptor to an Acceptor, which owns it from then on.
  int release() { return descriptor_.release(); }

 private:
  Descriptor descriptor_;
};

/// Opens one listening socket for each shard on the same port (SO_REUSEPORT): the kernel spreads the connections. Port 0 picks
/// a free one for all of them. `address` is IPv4, IPv6 or empty: all addresses of the machine, of both families if it has both.
/// Fails with the address and the reason, also if another socket listens there already. On a failure, and when memory is short,
/// no socket stays open.
absl::StatusOr<std::vector<ListeningSocket>> listen_on(const std::string& address, std::uint16_t port, std::size_t shards,
                                                       PortUse use = PortUse::kMustBeFree);

/// Sets on a listening socket that was passed to this process (inherited_sockets.h) what `listen_on` sets on its own:
/// non-blocking, close-on-exec; accepted sockets without Nagle's delay and with few unsent bytes.
void prepare_to_accept(int descriptor);

/// Accepts the connections of one listening socket on its shard, at most 64 in one turn of the event loop. When memory runs
/// short, or only reserved descriptors are left (descriptors.h), it pauses and tries again every 100 ms; meanwhile connections
/// wait in the kernel.
class Acceptor {
 public:
  /// Takes over `descriptor`, which is non-blocking, close-on-exec and without Nagle's delay. May throw std::bad_alloc.
  using Accepted = std::function<void(int descriptor, const Address& peer)>;

  /// Takes over `listening`; if it throws, `listening` is unchanged. Before the shard runs, or on it.
  Acceptor(Shard& shard, ListeningSocket& listening, Accepted accepted);
  Acceptor(Shard& shard, ListeningSocket&& listening, Accepted accepted);
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;
  /// On the shard, or after it has stopped.
  ~Acceptor();

  /// Accepts the connections that the kernel has completed, then closes the listening socket: a drain resets no established
  /// connection. Calls `accepted` before it returns. On the shard.
  void accept_what_has_arrived_and_close();
  std::uint16_t port() const { return port_; }

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
  std::uint16_t port_ = 0;
};

}  // namespace router::runtime

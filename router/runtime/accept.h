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

/// Whether a port must be free to be listened on.
enum class PortUse {
  kMustBeFree,  // anybody who listens there already is a reason to fail
  kGivenUp,     // this process listens there, perhaps on another address, and is about to stop: the port is shared meanwhile
};

/// A listening socket from which nobody accepts yet: connections wait in the kernel. Closed when destroyed. Move-only.
class ListeningSocket {
 public:
  explicit ListeningSocket(Descriptor descriptor) : descriptor_(std::move(descriptor)) {}

  std::uint16_t port() const;
  int descriptor() const { return descriptor_.get(); }
  /// For an Acceptor, which takes it over.
  int release() { return descriptor_.release(); }

 private:
  Descriptor descriptor_;
};

/// Listening sockets on one address, one per shard, sharing the port (SO_REUSEPORT): the kernel spreads the connections. Port 0
/// picks a free one for all of them. `address` is IPv4, IPv6 or empty: all addresses of the machine, of both families if it
/// has both. Fails with the address and the reason, also if anybody listens there already; then, and when memory is short, none
/// is open.
absl::StatusOr<std::vector<ListeningSocket>> listen_on(const std::string& address, std::uint16_t port, std::size_t shards,
                                                       PortUse use = PortUse::kMustBeFree);

/// Gives a listening socket of somebody else's making (inherited_sockets.h) what `listen_on` gives its own: it does not block,
/// is closed by exec, and accepted sockets have no Nagle's delay and few unsent bytes.
void prepare_to_accept(int descriptor);

/// Accepts the connections of one listening socket on its shard, at most 64 in a turn of the loop. When memory runs short, or
/// only descriptors that are kept for others are left (descriptors.h), it pauses and looks again every 100 ms; meanwhile
/// connections wait in the kernel.
class Acceptor {
 public:
  /// Owns the descriptor that it is given: non-blocking, closed by exec, without Nagle's delay. May throw std::bad_alloc.
  using Accepted = std::function<void(int descriptor, const Address& peer)>;

  /// Takes over `listening`, or leaves it as it is and throws. Before the shard runs, or on it.
  Acceptor(Shard& shard, ListeningSocket& listening, Accepted accepted);
  Acceptor(Shard& shard, ListeningSocket&& listening, Accepted accepted);
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;
  /// On the shard, or when it does not run any more.
  ~Acceptor();

  /// Takes what the kernel has completed already, then closes: a connection that was established is never reset by the drain.
  /// Calls `accepted` from inside. On the shard.
  void accept_what_has_arrived_and_close();
  std::uint16_t port() const { return port_; }

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
  std::uint16_t port_ = 0;
};

}  // namespace router::runtime

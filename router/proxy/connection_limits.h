#pragma once

#include <atomic>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "router/runtime/address.h"

namespace router::proxy {

/// Whom a limit per client counts as one: an IPv4 address, also where it is written as IPv6 (`::ffff:10.1.2.3`), or a /64 of
/// IPv6, which is what one customer is given at least.
struct ClientKey {
  bool ipv6 = false;
  std::uint64_t bits = 0;
  auto operator<=>(const ClientKey&) const = default;
};
ClientKey client_key(const runtime::Address& address);

/// How many client connections the process has open, and how many of them each client. Exact over all shards: one count for the
/// process, and a map under a mutex that only connections of a limited configuration touch, at accept and close (decision
/// 0010). Any thread. Must outlive its permits.
class ConnectionLimits {
 public:
  /// The evidence that a connection is counted; what it holds is given back with it.
  class Permit {
   public:
    Permit(Permit&& other) noexcept : limits_(std::exchange(other.limits_, nullptr)), client_(other.client_) {}
    Permit& operator=(Permit&&) = delete;
    ~Permit();

    /// Counts it for its client, too: false, and not counted, if that one has `max` connections already. 0: no limit, nothing
    /// is counted. Once.
    bool enter(const runtime::Address& client, std::size_t max);
    /// The permit for another connection: this one is not counted any more, also not for its client.
    Permit hand_over();

   private:
    friend class ConnectionLimits;
    explicit Permit(ConnectionLimits& limits) : limits_(&limits) {}
    ConnectionLimits* limits_;
    std::optional<ClientKey> client_;  // counted for this one
  };

  ConnectionLimits() = default;
  ConnectionLimits(const ConnectionLimits&) = delete;
  ConnectionLimits& operator=(const ConnectionLimits&) = delete;

  /// A permit for one more connection; nothing if there are `max` already.
  std::optional<Permit> enter(std::size_t max);

  /// Whether `client` has fewer than `max` connections; 0: no limit.
  bool has_room(const runtime::Address& client, std::size_t max) const;
  std::size_t open() const { return open_.load(std::memory_order_relaxed); }
  /// Clients that are being counted.
  std::size_t clients() const;

 private:
  bool enter_client(const ClientKey& client, std::size_t max);
  void leave_client(const ClientKey& client);

  std::atomic<std::size_t> open_{0};
  mutable std::mutex mutex_;
  std::map<ClientKey, std::size_t> clients_;  // ordered: no choice of addresses makes it slow; none stands at 0
};

}  // namespace router::proxy

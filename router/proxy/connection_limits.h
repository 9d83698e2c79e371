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

/// What a limit per client counts as one client: an IPv4 address, also in the form of IPv6 (`::ffff:10.1.2.3`), or a /64
/// network of IPv6, which is the smallest network that a provider gives to one customer.
struct ClientKey {
  bool ipv6 = false;
  std::uint64_t bits = 0;
  auto operator<=>(const ClientKey&) const = default;
};
ClientKey client_key(const runtime::Address& address);

/// Counts the open client connections of the process, and those of each client. The counts are exact over all shards: one
/// counter for the process, and a map under a mutex. Only connections under a limit per client touch the map, at accept and at
/// close (decision 0010). Any thread. Must outlive its permits.
class ConnectionLimits {
 public:
  /// Evidence that a connection is counted. The destructor ends the count.
  class Permit {
   public:
    Permit(Permit&& other) noexcept : limits_(std::exchange(other.limits_, nullptr)), client_(other.client_) {}
    Permit& operator=(Permit&&) = delete;
    ~Permit();

    /// Counts the connection for its client, too. Returns false and does not count it if the client has `max` connections
    /// already. With `max` 0 there is no limit, and nothing is counted. Called once.
    bool enter(const runtime::Address& client, std::size_t max);
    /// Passes the permit to another connection. This connection is not counted any more, for its client neither.
    Permit hand_over();

   private:
    friend class ConnectionLimits;
    explicit Permit(ConnectionLimits& limits) : limits_(&limits) {}
    ConnectionLimits* limits_;
    std::optional<ClientKey> client_;  // the client for which the connection is counted
  };

  ConnectionLimits() = default;
  ConnectionLimits(const ConnectionLimits&) = delete;
  ConnectionLimits& operator=(const ConnectionLimits&) = delete;

  /// A permit for one more connection, or nothing if `max` connections are open already.
  std::optional<Permit> enter(std::size_t max);

  /// Whether `client` has fewer than `max` connections; with `max` 0 there is no limit.
  bool has_room(const runtime::Address& client, std::size_t max) const;
  std::size_t open() const { return open_.load(std::memory_order_relaxed); }
  /// The number of clients that are counted.
  std::size_t clients() const;

 private:
  bool enter_client(const ClientKey& client, std::size_t max);
  void leave_client(const ClientKey& client);

  std::atomic<std::size_t> open_{0};
  mutable std::mutex mutex_;
  std::map<ClientKey, std::size_t> clients_;  // a tree: no choice of addresses makes it slow; no entry is 0
};

}  // namespace router::proxy

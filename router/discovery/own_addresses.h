#pragma once

#include <set>
#include <string>
#include <vector>

#include "router/runtime/address.h"

namespace router::discovery {

/// The addresses at which this process listens. No replica may have one of them: the router would forward each request to
/// itself until it has no connections left. An IPv4 address inside an IPv6 one counts as the IPv4 address. The unspecified
/// address counts as the loopback, as in the kernel's `connect`. Immutable; made by the control thread for each configuration.
class OwnAddresses {
 public:
  OwnAddresses() = default;
  /// `listeners` have their real ports. A wildcard address means every local address; `::` includes those of IPv4.
  OwnAddresses(std::vector<runtime::Address> listeners, std::set<std::string> local_ips);

  /// The addresses of the interfaces in this process's network namespace; empty if the system call fails.
  static std::set<std::string> read_local_ips();

  /// Whether the address is of this machine: the loopback, or an interface's.
  bool is_local(const runtime::Address& address) const;
  /// Whether a connection to the address reaches a listener of this process.
  bool is_listener(const runtime::Address& address) const;
  const std::vector<runtime::Address>& listeners() const { return listeners_; }

 private:
  std::vector<runtime::Address> listeners_;
  std::set<std::string> local_ips_;
};

}  // namespace router::discovery

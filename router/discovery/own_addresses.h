#pragma once

#include <set>
#include <string>
#include <vector>

#include "router/runtime/address.h"

namespace router::discovery {

/// Where this process is reached: no replica may be there, since each request to it would come back as another one, until
/// connections run out. An IPv4 address inside an IPv6 one is the IPv4 address; the unspecified address is the loopback, as it
/// is for the kernel that connects to it. Immutable; made by the control thread for each configuration.
class OwnAddresses {
 public:
  OwnAddresses() = default;
  /// `listeners`: with their real ports; a wildcard listens on every local address, and `::` on those of IPv4, too.
  OwnAddresses(std::vector<runtime::Address> listeners, std::set<std::string> local_ips);

  /// Those of this machine's interfaces, of this process's network namespace; empty if the kernel does not tell.
  static std::set<std::string> read_local_ips();

  /// An address of this machine: the loopback, or that of an interface.
  bool is_local(const runtime::Address& address) const;
  /// Whether connecting to it leads to a listener of this process.
  bool is_listener(const runtime::Address& address) const;
  const std::vector<runtime::Address>& listeners() const { return listeners_; }

 private:
  std::vector<runtime::Address> listeners_;
  std::set<std::string> local_ips_;
};

}  // namespace router::discovery

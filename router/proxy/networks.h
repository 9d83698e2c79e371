#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "router/runtime/address.h"

namespace router::proxy {

/// A list of IP networks: `trusted_proxies`. IPv4 is stored as IPv4-mapped IPv6, so that both forms of an address match.
class Networks {
 public:
  /// Adds `10.0.0.0/8`, `fd00::/8` or a single address. False if it is neither.
  bool add(std::string_view network);
  bool contains(const runtime::Address& address) const;

 private:
  using Bytes = std::array<std::uint8_t, 16>;
  struct Network {
    Bytes prefix;
    unsigned bits;
  };
  static bool bytes_of(const runtime::Address& address, Bytes& into, bool& is_v4);
  std::vector<Network> networks_;
};

}  // namespace router::proxy

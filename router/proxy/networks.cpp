#include "router/proxy/networks.h"

#include <absl/strings/numbers.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

#include "router/base/text.h"

namespace router::proxy {

bool Networks::bytes_of(const runtime::Address& address, Bytes& into, bool& is_v4) {
  into = {};
  is_v4 = address.family() == AF_INET;
  if (is_v4) {
    into[10] = into[11] = 0xff;
    std::memcpy(into.data() + 12, &reinterpret_cast<const sockaddr_in*>(address.get())->sin_addr, 4);
    return true;
  }
  if (address.family() != AF_INET6) return false;
  std::memcpy(into.data(), &reinterpret_cast<const sockaddr_in6*>(address.get())->sin6_addr, 16);
  return true;
}

bool Networks::add(std::string_view network) {
  const std::size_t slash = network.find('/');
  const std::optional<runtime::Address> address = runtime::Address::parse(network.substr(0, slash), 0);
  if (!address) return false;
  Network parsed{};
  bool is_v4 = false;
  if (!bytes_of(*address, parsed.prefix, is_v4)) return false;
  const unsigned longest = is_v4 ? 32 : 128;
  std::uint32_t bits = longest;
  if (slash != std::string_view::npos && (!absl::SimpleAtoi(to_absl(network.substr(slash + 1)), &bits) || bits > longest))
    return false;
  parsed.bits = is_v4 ? bits + 96 : bits;
  networks_.push_back(parsed);
  return true;
}

bool Networks::contains(const runtime::Address& address) const {
  Bytes bytes;
  bool is_v4 = false;
  if (networks_.empty() || !bytes_of(address, bytes, is_v4)) return false;
  return std::any_of(networks_.begin(), networks_.end(), [&bytes](const Network& network) {
    const unsigned whole = network.bits / 8;
    if (std::memcmp(bytes.data(), network.prefix.data(), whole) != 0) return false;
    const unsigned rest = network.bits % 8;
    return rest == 0 || (bytes[whole] ^ network.prefix[whole]) >> (8 - rest) == 0;
  });
}

}  // namespace router::proxy

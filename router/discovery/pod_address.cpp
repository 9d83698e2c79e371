#include "router/discovery/pod_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstdint>
#include <cstring>

namespace router::discovery {
namespace {

bool may_be_a_pod(std::uint32_t ipv4) {
  const std::uint32_t first = ipv4 >> 24;
  const bool link_local = (ipv4 >> 16) == 0xA9FE;
  return first != 0 && first != 127 && first < 224 && !link_local;
}

}  // namespace

bool may_be_a_pod(const runtime::Address& address) {
  if (address.family() == AF_INET) {
    sockaddr_in inet{};
    std::memcpy(&inet, address.get(), sizeof inet);
    return may_be_a_pod(ntohl(inet.sin_addr.s_addr));
  }
  sockaddr_in6 inet{};
  std::memcpy(&inet, address.get(), sizeof inet);
  const in6_addr& ip = inet.sin6_addr;
  // An IPv4 address in disguise (mapped, or embedded in another way) is to be given as one.
  static constexpr std::uint8_t kZeros[10] = {};
  const bool embeds_ipv4 = std::memcmp(ip.s6_addr, kZeros, sizeof kZeros) == 0;  // also :: and ::1
  return !embeds_ipv4 && !IN6_IS_ADDR_LINKLOCAL(&ip) && !IN6_IS_ADDR_MULTICAST(&ip);
}

}  // namespace router::discovery

#include "router/runtime/tcp_acknowledged.h"

#include <linux/tcp.h>  // the C library's <netinet/tcp.h> lacks tcpi_bytes_acked; the two headers conflict
#include <sys/socket.h>

#include <cstddef>

namespace router::runtime {

std::optional<std::uint64_t> acknowledged_by_peer(int descriptor) {
  constexpr int kTcp = 6;  // IPPROTO_TCP
  tcp_info info{};
  socklen_t size = sizeof info;
  constexpr std::size_t kNeeded = offsetof(tcp_info, tcpi_bytes_acked) + sizeof info.tcpi_bytes_acked;
  if (::getsockopt(descriptor, kTcp, TCP_INFO, &info, &size) != 0 || size < kNeeded) return std::nullopt;
  return info.tcpi_bytes_acked;
}

}  // namespace router::runtime

#pragma once

#include <cstdint>
#include <optional>

namespace router::runtime {

/// The number of our bytes that a TCP peer has acknowledged since the connection began (RFC 4898,
/// tcpEStatsAppHCThruOctetsAcked); Linux counts the SYN, too. Nothing if the kernel does not report it.
std::optional<std::uint64_t> acknowledged_by_peer(int descriptor);

}  // namespace router::runtime

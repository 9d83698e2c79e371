#pragma once

#include <absl/functional/any_invocable.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>

#include "router/fleet_link/strangers.h"
#include "router/runtime/accept.h"
#include "router/runtime/address.h"
#include "router/runtime/descriptor.h"
#include "router/runtime/socket.h"
#include "router/runtime/task_group.h"

namespace router::fleet_link {

/// The first byte on a connection to the fleet port, before TLS: what the connection is for.
inline constexpr char kLinkByte = 'L';
inline constexpr char kRequestsByte = 'R';

/// A connection that has been accepted as a link and has not shaken hands.
struct Newcomer {
  std::shared_ptr<Life> life;  // cancelled: close it. The socket wakes its wakeup
  runtime::Socket socket;
  Strangers::Stay stay;  // until it is known who it is
};

struct PortOptions {
  std::size_t strangers_max = 64;
  std::chrono::milliseconds first_byte_max{2000};
};

/// What has happened on the port since it was opened.
struct PortCounts {
  std::uint64_t links = 0;
  std::uint64_t requests = 0;
  std::uint64_t silent = 0;   // no byte in time, or closed before it: health checks, port scans
  std::uint64_t unknown = 0;  // another first byte
};

/// The fleet's listening socket. Reads one byte of each connection and passes the connection on, with nothing else read. It
/// stays open until `close`: a closed port is the proof that this process is dead (prober.h). Used on the fleet's thread;
/// destroyed there, or after the thread has ended.
class FleetPort {
 public:
  using TakeLink = absl::AnyInvocable<void(Newcomer newcomer)>;
  /// Gets connections for requests: the data path takes the socket over, and does TLS itself.
  using TakeRequests = absl::AnyInvocable<void(runtime::Descriptor socket, const runtime::Address& from)>;

  FleetPort(runtime::Shard& shard, runtime::ListeningSocket&& listening, TakeLink link, TakeRequests requests,
            PortOptions options = {});
  FleetPort(const FleetPort&) = delete;
  FleetPort& operator=(const FleetPort&) = delete;

  /// Takes the connections that the kernel has completed, and stops listening. Those that were accepted are read further.
  void close();
  std::uint16_t port() const { return port_; }
  const PortCounts& counts() const { return counts_; }
  const Strangers& strangers() const { return *strangers_; }

 private:
  void accepted(int descriptor, const runtime::Address& from);
  Task<void> greet(Newcomer newcomer, runtime::Address from);
  Task<std::optional<char>> first_byte(Newcomer& newcomer) const;

  runtime::Shard& shard_;
  const PortOptions options_;
  TakeLink link_;
  TakeRequests requests_;
  PortCounts counts_;
  std::shared_ptr<Strangers> strangers_;
  runtime::TaskGroup greeting_;
  std::uint16_t port_ = 0;
  std::unique_ptr<runtime::Acceptor> acceptor_;
};

}  // namespace router::fleet_link

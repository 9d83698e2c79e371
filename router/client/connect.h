#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "router/base/task.h"
#include "router/client/error.h"
#include "router/runtime/address.h"
#include "router/runtime/cancellation.h"
#include "router/runtime/resolver.h"
#include "router/runtime/socket.h"
#include "tls/stream.h"

/// The steps that open a connection to a server: look-up, TCP, TLS. Each function suspends until `deadline` at most, or until
/// it is cancelled, and waits only at the cancellation's wakeup.
namespace router::client {

/// Resolves `host` to at least one address; an IP address needs no look-up. Control thread.
Task<Outcome<std::vector<runtime::Address>>> look_up(runtime::Cancellation& cancellation, runtime::Resolver& resolver,
                                                     std::string host, std::uint16_t port, Deadline deadline);

/// Opens a TCP connection. On an error `into` holds the socket as far as it was opened.
Task<Outcome<void>> connect_socket(runtime::Cancellation& cancellation, runtime::Address address, runtime::Socket& into,
                                   Deadline deadline);

/// Performs the TLS handshake; does nothing for plaintext.
Task<Outcome<void>> shake_hands(runtime::Cancellation& cancellation, tls::Stream& stream, Deadline deadline);

/// The security of a TCP connection: TLS or plaintext. The context is that of the shard. Context and name outlive the streams.
class Security {
 public:
  Security() = default;
  Security(tls::ClientContext& context, const std::string& server_name) : context_(&context), server_name_(&server_name) {}
  tls::Stream upon(runtime::Socket socket) const;

 private:
  tls::ClientContext* context_ = nullptr;
  const std::string* server_name_ = nullptr;
};

struct ConnectOptions {
  /// A peer that vanished without closing the connection is detected after this time: by keepalive while nothing is sent,
  /// otherwise by missing acknowledgements. At least six seconds; zero: the system's defaults.
  std::chrono::seconds vanished_after{0};
};

/// Connects by TCP and TLS to the first of `addresses` that accepts both. Each address gets an equal share of the remaining
/// time, so that an address that does not answer leaves time for the others. Returns the error of the last one.
Task<Outcome<tls::Stream>> connect(runtime::Cancellation& cancellation, std::vector<runtime::Address> addresses,
                                   Security security, ConnectOptions options, Deadline deadline);

}  // namespace router::client

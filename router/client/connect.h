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

/// The way to a server: its name, TCP, TLS. Everything here suspends until `deadline` at most, or until it is cancelled, and
/// waits at the cancellation's wakeup alone.
namespace router::client {

/// The addresses of `host`, at least one; an address is its own. Control thread.
Task<Outcome<std::vector<runtime::Address>>> look_up(runtime::Cancellation& cancellation, runtime::Resolver& resolver,
                                                     std::string host, std::uint16_t port, Deadline deadline);

/// A TCP connection. On an error `into` holds what there is of it.
Task<Outcome<void>> connect_socket(runtime::Cancellation& cancellation, runtime::Address address, runtime::Socket& into,
                                   Deadline deadline);

/// The TLS handshake; nothing to do for plaintext.
Task<Outcome<void>> shake_hands(runtime::Cancellation& cancellation, tls::Stream& stream, Deadline deadline);

/// What stands upon the TCP connection: TLS, or nothing. Context and name outlive the streams; the context is the shard's.
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
  /// A peer that has gone without a word is noticed after this long: while nothing is sent by keepalive, else by what it does
  /// not acknowledge. At least six seconds; zero: as the system has it.
  std::chrono::seconds vanished_after{0};
};

/// TCP and TLS to the first of `addresses` that accepts both. Each has an equal share of what is left of the time, so that one
/// which does not answer leaves some for the others. The error is that of the last one.
Task<Outcome<tls::Stream>> connect(runtime::Cancellation& cancellation, std::vector<runtime::Address> addresses,
                                   Security security, ConnectOptions options, Deadline deadline);

}  // namespace router::client

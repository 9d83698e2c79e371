#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "router/base/result.h"
#include "router/http/head.h"
#include "router/wire/body_sink.h"
#include "router/wire/cancellation.h"
#include "router/wire/message_output.h"

namespace router::proxy {

/// Who sent an exchange, and over what.
struct Peer {
  std::string_view address;  // IP, of the client as far as the PROXY protocol tells
  bool trusted = false;      // may speak for others: `trusted_proxies`
  bool tls = false;
};

/// One request with its response on the client's side, of any protocol version. Nothing here suspends: operations do what can
/// be done now; `arm` asks to be woken when more can be.
class Downstream : public wire::BodySink, public wire::Cancellation {
 public:
  // --- the request ---
  virtual const http::RequestHead& head() const = 0;
  virtual const Peer& peer() const = 0;
  virtual wire::BodySize request_size() const = 0;
  /// Moves body bytes that have arrived into `sink`, which must be flushed at once. Fails with client_closed or bad_request.
  virtual Result<wire::Progress> read_body(wire::BodySink& sink) = 0;
  virtual bool request_received() const = 0;
  virtual std::uint64_t request_bytes() const = 0;
  /// Before the body is read: how much of it has arrived (with its framing), and whether that is all. Fails with bad_request.
  struct Arrived {
    std::size_t bytes = 0;
    bool whole = false;
  };
  virtual Result<Arrived> body_arrived() = 0;
  /// Tells a client that waits for it to send its body (RFC 9110, 10.1.1).
  virtual void send_continue() = 0;
  /// It was told, and nothing of its body has come since.
  virtual bool owes_first_byte() const = 0;
  /// Before the body is read: keeps it, as far as it fits into the replay buffer, so that `rewind_request` can begin it again.
  virtual void keep_request() = 0;
  /// The body can be read from its beginning again; false if it was too large to be kept.
  virtual bool rewind_request() = 0;
  /// Reads what is left of a body that nobody wants any more, and drops it, so that the next request can be found behind it.
  /// kBlocked: the rest is still to come, `arm_read`; kMoved: there may be more at hand; kEnded: nothing is left, or no further
  /// request is read from this connection.
  virtual wire::Progress drop_request() = 0;

  // --- the response ---
  virtual void begin_head(int status, std::string_view reason_phrase) = 0;
  virtual void field(std::string_view name, std::string_view value) = 0;
  virtual void end_head(wire::BodySize size) = 0;
  /// Relays an interim response, if the client's protocol version knows them.
  virtual void interim(const http::ResponseHead& head) = 0;
  /// Sends what was gathered. Fails with client_closed.
  virtual Result<void> flush() = 0;
  virtual bool blocked() const = 0;
  /// The time, as `Date` tells it (RFC 9110, 5.6.7); valid until the exchange next suspends.
  virtual std::string_view date() = 0;
  /// The head of the response was begun: from now on it can only be finished or cut.
  virtual bool responded() const = 0;
  virtual std::uint64_t response_bytes() const = 0;
  /// How much the client has taken, counted from some moment on: what only waits in the kernel is not part of it. Framing and
  /// encryption may be.
  virtual std::uint64_t bytes_taken() const = 0;
  /// No further request on this connection.
  virtual void close_after() = 0;
  /// Cuts the response: the client must not take it for complete.
  virtual void reset() = 0;

  /// Wakes the exchange when the client has sent more of its body: only while it is wanted (else `still_wanted` watches the
  /// client).
  virtual void arm_read() = 0;
  /// Wakes the exchange when a blocked client takes more.
  virtual void arm_write() = 0;
  /// Fails with `draining` once the drain's grace is over.
  virtual Result<void> within_grace() const = 0;

 protected:
  ~Downstream() = default;
};

}  // namespace router::proxy

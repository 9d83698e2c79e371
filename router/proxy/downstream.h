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

/// The client of an exchange and its connection.
struct Peer {
  std::string_view address;  // IP; the one in the PROXY protocol header, if there was one
  bool trusted = false;      // one of `trusted_proxies`: may name other clients in its fields
  bool tls = false;
};

/// One request with its response on the client's side, independent of the protocol version. Nothing here suspends: an operation
/// does what is possible now, and the `arm` functions make the shard wake the exchange when more is possible.
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
  /// How much of the body has arrived (with its framing), and whether that is all. Called before the body is read. Fails with
  /// bad_request.
  struct Arrived {
    std::size_t bytes = 0;
    bool whole = false;
  };
  virtual Result<Arrived> body_arrived() = 0;
  /// Sends 100 (Continue) if the client waits for it (RFC 9110, 10.1.1).
  virtual void send_continue() = 0;
  /// 100 (Continue) was sent, and no byte of the body has arrived since.
  virtual bool owes_first_byte() const = 0;
  /// Keeps the body, as far as it fits into the replay buffer, so that `rewind_request` can begin it again. Called before the
  /// body is read.
  virtual void keep_request() = 0;
  /// Starts the body again from its beginning; false if it was too large to be kept.
  virtual bool rewind_request() = 0;
  /// Reads and drops the rest of a body that is not used, so that the next request can be found behind it. kBlocked: more has
  /// to arrive, call `arm_read`; kMoved: more may be available now; kEnded: nothing is left, or no further request is read from
  /// this connection.
  virtual wire::Progress drop_request() = 0;

  // --- the response ---
  virtual void begin_head(int status, std::string_view reason_phrase) = 0;
  virtual void field(std::string_view name, std::string_view value) = 0;
  virtual void end_head(wire::BodySize size) = 0;
  /// Passes an interim response on, if the client's protocol version supports them.
  virtual void interim(const http::ResponseHead& head) = 0;
  /// Sends the buffered bytes. Fails with client_closed.
  virtual Result<void> flush() = 0;
  virtual bool blocked() const = 0;
  /// The current time as a value of `Date` (RFC 9110, 5.6.7); valid until the exchange next suspends.
  virtual std::string_view date() = 0;
  /// Whether the head of the response was begun. From then on the response can only be finished or cut.
  virtual bool responded() const = 0;
  virtual std::uint64_t response_bytes() const = 0;
  /// How many bytes the client has received, counted from an arbitrary start. Bytes that wait in the kernel are not included;
  /// bytes of framing and encryption may be.
  virtual std::uint64_t bytes_taken() const = 0;
  /// Serves no further request on this connection.
  virtual void close_after() = 0;
  /// Cuts the response so that the client cannot take it for complete.
  virtual void reset() = 0;

  /// Wakes the exchange when the client has sent more of its body. Only while the body is read; otherwise `still_wanted`
  /// watches the client.
  virtual void arm_read() = 0;
  /// Wakes the exchange when a blocked client can take more bytes.
  virtual void arm_write() = 0;
  /// Fails with `draining` once the drain's grace is over.
  virtual Result<void> within_grace() const = 0;

 protected:
  ~Downstream() = default;
};

}  // namespace router::proxy

#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "router/base/result.h"
#include "router/stream/cancellation.h"
#include "router/stream/leaving.h"
#include "router/stream/request_source.h"
#include "router/stream/response_sink.h"

namespace router::proxy {

/// The client of an exchange and its connection.
struct Peer {
  std::string_view address;  // IP; the one in the PROXY protocol header, if there was one
  bool trusted = false;      // one of `trusted_proxies`: may name other clients in its fields
  bool tls = false;
};

/// One request and its response on the client's side, in any protocol version: where the request comes from, where the response
/// goes, and the client. No function suspends: each does what is possible now; `arm_read` and `arm_write` wake the exchange
/// when more is possible.
class Downstream : public stream::RequestSource,
                   public stream::Replayable,
                   public stream::ResponseSink,
                   public stream::Cancellation {
 public:
  virtual const Peer& peer() const = 0;
  /// The time for the `Date` field (RFC 9110, 5.6.7); valid until the exchange next suspends.
  virtual std::string_view date() = 0;
  /// Whether the head of the response was begun: from then on the response can only be finished or cut.
  virtual bool responded() const = 0;
  virtual std::uint64_t response_bytes() const = 0;
  /// How many bytes the client has taken, counted from some moment on; without what only waits in the kernel. Framing and
  /// encryption may be included.
  virtual std::uint64_t bytes_taken() const = 0;
  /// Wakes the exchange when a blocked client takes more.
  virtual void arm_write() = 0;
  /// kClose: no further request on this connection. kReset: cuts the response; the client must not take it for complete.
  virtual void leave(stream::Leaving how) = 0;
  /// Fails with `draining` once the grace period of the drain is over.
  virtual Result<void> within_grace() const = 0;

 protected:
  ~Downstream() = default;
};

}  // namespace router::proxy

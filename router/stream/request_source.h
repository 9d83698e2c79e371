#pragma once

#include <cstddef>
#include <cstdint>

#include "router/base/result.h"
#include "router/http/head.h"
#include "router/stream/body.h"

namespace router::stream {

/// A request as it arrives from its client, in any protocol version. No function suspends: each does what is possible now.
class RequestSource {
 public:
  virtual const http::RequestHead& head() const = 0;
  virtual BodySize request_size() const = 0;
  /// Moves body bytes that have arrived into `sink`, which must be flushed at once. Fails with client_closed or bad_request.
  virtual Result<Progress> read_body(BodySink& sink) = 0;
  /// Whether the whole body has been read.
  virtual bool request_received() const = 0;
  /// Bytes of the body that have been read.
  virtual std::uint64_t request_bytes() const = 0;
  struct Arrived {
    std::size_t bytes = 0;  // with their framing
    bool whole = false;
  };
  /// Before the body is read: how much of it has arrived. Fails with bad_request.
  virtual Result<Arrived> body_arrived() = 0;
  /// Reads what is left of a body that is not used, and drops it, so that the next request can be found after it. kBlocked: the
  /// rest has not arrived, `arm_read`; kMoved: there may be more now; kEnded: nothing is left, or no further request is read
  /// from this connection.
  virtual Progress drop_request() = 0;
  /// Wakes the exchange when the client has sent more of its body. Only for a caller that reads it; otherwise `still_wanted`
  /// watches the client.
  virtual void arm_read() = 0;

 protected:
  ~RequestSource() = default;
};

/// A request whose body can be read again from its beginning, as far as the replay buffer can hold it.
class Replayable {
 public:
  /// Before the body is read: keeps it.
  virtual void keep_request() = 0;
  /// Begins the body again; false if it was too large to be kept.
  virtual bool rewind_request() = 0;

 protected:
  ~Replayable() = default;
};

}  // namespace router::stream

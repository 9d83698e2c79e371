#pragma once

#include "router/base/result.h"
#include "router/http/head.h"
#include "router/stream/body.h"

namespace router::stream {

/// A response as it arrives from a replica, in any protocol version.
class ResponseSource {
 public:
  /// The head once it has arrived, nullptr before. `read_body` invalidates its views. Fails with upstream_reset or
  /// upstream_invalid_response.
  virtual Result<const http::ResponseHead*> response_head() = 0;
  /// After a 1xx head: continues with the next one. A replica may send any number of them, so the caller must limit how many it
  /// reads in one turn of the event loop.
  virtual void skip_interim() = 0;
  virtual BodySize response_size() const = 0;
  virtual Result<Progress> read_body(BodySink& sink) = 0;
  /// Wakes the exchange when the replica has sent something. Call only if the bytes are read then: while unread bytes are
  /// there, it wakes at once each time.
  virtual void arm_read() = 0;

 protected:
  ~ResponseSource() = default;
};

}  // namespace router::stream

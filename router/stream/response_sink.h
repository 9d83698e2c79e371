#pragma once

#include <string_view>

#include "router/base/result.h"
#include "router/http/head.h"
#include "router/stream/body.h"

namespace router::stream {

/// Receives the response for a client: interim responses, the head, the body. It gathers; `flush` sends.
class ResponseSink : public BodySink {
 public:
  virtual void begin_head(int status, std::string_view reason_phrase) = 0;
  virtual void field(std::string_view name, std::string_view value) = 0;
  virtual void end_head(BodySize size) = 0;
  /// Relays an interim response (RFC 9110, section 15.2), if the client's protocol version knows them; a 100 only to a client
  /// that waits for it. Returns whether it was relayed.
  virtual bool interim(const http::ResponseHead& head) = 0;
  /// Sends what was gathered. Fails with client_closed.
  virtual Result<void> flush() = 0;
  /// Whether the client takes nothing more for now.
  virtual bool blocked() const = 0;

 protected:
  ~ResponseSink() = default;
};

}  // namespace router::stream

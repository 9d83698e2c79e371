#pragma once

#include <string_view>

#include "router/http/head.h"

namespace router::wire {

/// Where a body goes, piece by piece, whatever the protocol version on the other side. What it cannot pass on at once it keeps;
/// the giver looks at the receiver's back-pressure before it gives more.
class BodySink {
 public:
  /// `bytes` stay valid until the receiver is flushed.
  virtual void body_piece(std::string_view bytes) = 0;
  /// `trailers` may be nullptr.
  virtual void body_end(const http::Fields* trailers) = 0;

 protected:
  ~BodySink() = default;
};

/// How far one attempt to move a body came.
enum class Progress {
  kMoved,    // something was moved; there may be more
  kDrained,  // something was moved, and the source has nothing more at hand
  kBlocked,  // the source has nothing at hand
  kEnded,    // the body is complete
};

}  // namespace router::wire

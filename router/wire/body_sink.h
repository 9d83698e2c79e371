#pragma once

#include <string_view>

#include "router/http/head.h"

namespace router::wire {

/// Receives a body piece by piece, in any protocol version. It keeps what it cannot pass on at once; the caller checks the
/// receiver's back-pressure before it adds more.
class BodySink {
 public:
  /// `bytes` must stay valid until the receiver is flushed.
  virtual void body_piece(std::string_view bytes) = 0;
  /// `trailers` may be nullptr.
  virtual void body_end(const http::Fields* trailers) = 0;

 protected:
  ~BodySink() = default;
};

/// The result of one attempt to move a body.
enum class Progress {
  kMoved,    // bytes were moved; there may be more
  kDrained,  // bytes were moved; the source has no more now
  kBlocked,  // the source has no bytes now
  kEnded,    // the body is complete
};

}  // namespace router::wire

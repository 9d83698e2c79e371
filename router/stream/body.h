#pragma once

#include <cstdint>
#include <string_view>

#include "router/http/head.h"

namespace router::stream {

/// What is known about the end of a body before it has come, in any protocol version.
struct BodySize {
  enum class Kind : std::uint8_t {
    kNone,     // no body, and no field for one (GET, 204, …)
    kLength,   // `length` bytes
    kUnknown,  // it ends when it ends
  };
  Kind kind = Kind::kNone;
  std::uint64_t length = 0;
};

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

}  // namespace router::stream

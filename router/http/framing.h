#pragma once

#include <cstdint>
#include <string_view>

#include "router/http/head.h"

namespace router::http {

/// Where a message's body ends (RFC 9112, 6.3).
struct Framing {
  enum class Kind : std::uint8_t { kNone, kLength, kChunked, kUntilClose };
  Kind kind = Kind::kNone;
  std::uint64_t length = 0;  // kLength: bytes, > 0
};

/// Refuses: Content-Length with Transfer-Encoding, differing or malformed or list Content-Length, Transfer-Encoding in HTTP/1.0
/// (bad_request); a transfer coding other than `chunked` alone (unsupported).
Result<Framing> request_framing(const RequestHead& head);
/// For a response to `method`. The same rules; failures are upstream_invalid_response.
Result<Framing> response_framing(const ResponseHead& head, Method method);

/// Takes a body out of its framing as it arrives. Does not copy: pieces are views into the input. Chunk-size lines (with
/// extensions) at most 4 KB and trailers at most 8 KB are kept inside until they are complete.
class BodyDecoder {
 public:
  BodyDecoder() = default;
  /// `origin` decides the reason of failures: bad_request or upstream_invalid_response.
  BodyDecoder(Framing framing, Origin origin);

  struct Step {
    std::size_t consumed = 0;  // bytes of the input that are done with
    std::string_view bytes;    // body bytes within them; may be empty
    bool ended = false;        // the body is complete; what follows in the input belongs to the next message
  };
  /// The next run of body bytes in `input`. consumed == 0 and not ended: more input is needed.
  Result<Step> next(std::string_view input);
  /// The sender closed the connection: right for kUntilClose (then ended), a failure for anything else unfinished.
  Result<void> closed();

  bool ended() const { return ended_; }
  /// After the end of a chunked body: its trailer section, valid while this lives.
  const Fields* trailers() const;
  const Framing& framing() const { return framing_; }

 private:
  Framing framing_;
  Origin origin_ = Origin::kDownstream;
  bool ended_ = true;
  // … the implementer's own state (keep an idle decoder under 100 bytes: allocate line storage and trailers only when needed)
};

}  // namespace router::http

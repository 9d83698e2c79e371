#pragma once

#include <cstdint>
#include <memory>
#include <string>
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
  enum class State : std::uint8_t { kSize, kData, kDataEnd, kTrailers };
  static constexpr std::size_t kSizeLineMax = 4 * 1024;
  static constexpr std::size_t kTrailersMax = 8 * 1024;

  Failure malformed(const char* cause) const;
  Step plain(std::string_view input);
  Result<Step> chunk_size(std::string_view input);
  Step chunk_data(std::string_view input);
  Result<Step> chunk_data_end(std::string_view input);
  Result<Step> trailer_section(std::string_view input);
  /// Keeps `input` up to its line end; true when the kept line is complete.
  Result<bool> keep_line(std::string_view input, std::size_t limit, std::size_t& consumed);
  Result<void> begin_chunk();
  Result<void> parse_trailers();

  /// What only chunked bodies need, and only while a line arrives in parts, or trailers.
  struct Chunked {
    std::string kept;
    Fields trailers;
  };

  Framing framing_;
  Origin origin_ = Origin::kDownstream;
  State state_ = State::kSize;
  bool ended_ = true;
  std::uint8_t data_end_seen_ = 0;
  std::uint64_t left_ = 0;  // of the body (kLength) or of the chunk
  std::unique_ptr<Chunked> chunked_;
};

}  // namespace router::http

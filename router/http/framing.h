#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "router/http/head.h"
#include "router/http/mistake.h"

namespace router::http {

/// Where a message's body ends (RFC 9112, 6.3).
struct Framing {
  enum class Kind : std::uint8_t { kNone, kLength, kChunked, kUntilClose };
  Kind kind = Kind::kNone;
  std::uint64_t length = 0;  // kLength: bytes, > 0
};

/// Refuses with bad_request, since the end of the body is not certain (RFC 9112, 6.3): Content-Length with Transfer-Encoding;
/// Content-Length twice (even with one value), as a list, or not of 1 to 18 digits; Transfer-Encoding in HTTP/1.0, malformed,
/// with `chunked` twice, or with `chunked` not last. Refuses a coding before `chunked` as unsupported.
Result<Framing> request_framing(const RequestHead& head);
/// The same rules for a response to `method`; failures are upstream_invalid_response.
Result<Framing> response_framing(const ResponseHead& head, Method method);

/// Removes the framing of a body as it arrives. Does not copy: the pieces are views into the input. A chunk's size line may
/// have 4 KB including its extensions, which must be well-formed and are dropped. A trailer section may have 8 KB and is stored
/// here until it is complete. Sizes are 1 to 16 hexadecimal digits; lines end with CRLF.
class BodyDecoder {
 public:
  BodyDecoder() = default;
  /// `origin` selects the reason of failures: bad_request or upstream_invalid_response.
  BodyDecoder(Framing framing, Origin origin);

  struct Step {
    std::size_t consumed = 0;  // bytes of the input that were processed
    std::string_view bytes;    // body bytes within them; may be empty
    bool ended = false;        // the body is complete; what follows in the input belongs to the next message
  };
  /// The next run of body bytes in `input`, after the framing before it. consumed == 0 and not ended: more input is needed.
  /// After a failure the decoder must not be used again, since the start of the next message is not known.
  Result<Step> next(std::string_view input);
  /// The sender closed the connection. This ends a body of kUntilClose; it is a failure for any other body that is not
  /// complete.
  Result<void> closed();

  bool ended() const { return ended_; }
  /// After the end of a chunked body: its trailer fields, valid while this object exists; null if there are none. Fields that
  /// the router acts on in a head (framing, routing, credentials, its own fields) are dropped (RFC 9110, 6.5.1).
  const Fields* trailers() const;
  const Framing& framing() const { return framing_; }

 private:
  /// The position of the next byte in a chunked body (RFC 9112, 7.1).
  enum class State : std::uint8_t {
    kSize,       // a digit of a chunk's size, or the byte behind its digits
    kExtension,  // after the size
    kSizeEnd,    // the LF of the size line
    kData,       // a byte of the chunk
    kDataCr,     // the CRLF after the data
    kDataLf,
    kTrailers,     // the first byte of the trailer section
    kTrailerLine,  // inside the trailer section
    kLastLf,       // the LF of the empty line, if there are no trailers
  };
  /// The position in a chunk's extensions: `*( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] )` (RFC 9112,
  /// 7.1.1).
  enum class Extension : std::uint8_t {
    kSemicolon,  // after blanks: only the next extension may follow
    kNameBegin,
    kName,
    kNameBehind,  // after blanks behind the name: `=` or the next extension
    kValueBegin,
    kValue,
    kQuoted,
    kEscaped,  // after the backslash
    kQuotedEnd,
  };
  static constexpr std::size_t kSizeDigitsMax = 16;
  static constexpr std::size_t kSizeLineMax = 4 * 1024;
  static constexpr std::size_t kTrailersMax = 8 * 1024;

  Failure malformed(const char* cause) const;
  Step plain(std::string_view input);
  Result<Step> chunked(std::string_view input);
  Step chunk_data(std::string_view input, std::size_t framing);
  std::size_t read_digits(std::string_view input);
  Mistake framing_byte(char c);
  Mistake end_digits(char c);
  Mistake extension_byte(char c);
  bool move_within_extension(char c);
  Mistake trailer_byte(char c);
  void begin_chunk();

  /// The state of a trailer section, allocated only if there is one: it takes 5 KB.
  struct Trailers {
    std::string section;
    Fields fields;
  };

  Framing framing_;
  Origin origin_ = Origin::kDownstream;
  State state_ = State::kSize;
  Extension extension_ = Extension::kSemicolon;
  bool ended_ = true;
  std::uint16_t line_bytes_ = 0;  // bytes of the size line so far
  std::uint64_t left_ = 0;        // bytes left of the body (kLength) or of the chunk
  std::unique_ptr<Trailers> trailers_;
};

}  // namespace router::http

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

/// Refuses: Content-Length with Transfer-Encoding; Content-Length twice (even with one value), as a list, or not of 1 to 18
/// digits; Transfer-Encoding in HTTP/1.0, malformed, with `chunked` twice or not last (bad_request: nobody knows where the body
/// ends, RFC 9112, 6.3); a coding before `chunked` (unsupported).
Result<Framing> request_framing(const RequestHead& head);
/// For a response to `method`. The same rules; failures are upstream_invalid_response.
Result<Framing> response_framing(const ResponseHead& head, Method method);

/// Takes a body out of its framing as it arrives. Does not copy: pieces are views into the input. A chunk's size line may have
/// 4 KB with its extensions, which must be well-formed and are dropped; a trailer section 8 KB, kept inside until it is
/// complete. Sizes are 1 to 16 hexadecimal digits; lines end with CRLF.
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
  /// The next run of body bytes in `input`, past the framing before it. consumed == 0 and not ended: more input is needed.
  /// After a failure the decoder is of no more use, as nobody knows where the next message begins.
  Result<Step> next(std::string_view input);
  /// The sender closed the connection: right for kUntilClose (then ended), a failure for anything else unfinished.
  Result<void> closed();

  bool ended() const { return ended_; }
  /// After the end of a chunked body: its trailer fields, valid while this lives; null if it had none. Those that the router
  /// acts on in a head (framing, routing, credentials, its own fields) are dropped (RFC 9110, 6.5.1).
  const Fields* trailers() const;
  const Framing& framing() const { return framing_; }

 private:
  /// Where in a chunked body (RFC 9112, 7.1) the next byte stands.
  enum class State : std::uint8_t {
    kSize,       // a digit of a chunk's size, or what ends it
    kExtension,  // behind it
    kSizeEnd,    // the LF of the size line
    kData,       // a byte of the chunk
    kDataCr,     // the CRLF behind it
    kDataLf,
    kTrailers,     // the first byte of the trailer section
    kTrailerLine,  // within it
    kLastLf,       // the LF of the empty line, where there are no trailers
  };
  /// Where in a chunk's extensions: `*( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] )` (RFC 9112, 7.1.1).
  enum class Extension : std::uint8_t {
    kSemicolon,  // blanks have begun: only the next extension may follow
    kNameBegin,
    kName,
    kNameBehind,  // blanks behind the name: `=` or the next extension
    kValueBegin,
    kValue,
    kQuoted,
    kEscaped,  // behind the backslash
    kQuotedEnd,
  };
  static constexpr std::size_t kSizeDigitsMax = 16;
  static constexpr std::size_t kSizeLineMax = 4 * 1024;
  static constexpr std::size_t kTrailersMax = 8 * 1024;

  Failure malformed(const char* cause) const;
  Step plain(std::string_view input);
  Result<Step> chunked(std::string_view input);
  Step chunk_data(std::string_view input, std::size_t framing);
  Mistake framing_byte(char c);
  Mistake size_byte(char c);
  Mistake extension_byte(char c);
  bool move_within_extension(char c);
  Mistake trailer_byte(char c);
  void begin_chunk();

  /// Of a trailer section: few bodies have one, and it takes 5 KB.
  struct Trailers {
    std::string section;
    Fields fields;
  };

  Framing framing_;
  Origin origin_ = Origin::kDownstream;
  State state_ = State::kSize;
  Extension extension_ = Extension::kSemicolon;
  bool ended_ = true;
  std::uint16_t line_bytes_ = 0;  // of the size line so far
  std::uint64_t left_ = 0;        // bytes of the body (kLength) or of the chunk
  std::unique_ptr<Trailers> trailers_;
};

}  // namespace router::http

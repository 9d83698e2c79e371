#pragma once

#include <absl/container/inlined_vector.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "router/base/result.h"

/// Parses the messages of HTTP/1.1 (RFC 9110, RFC 9112). No policy, no input or output. Views point into the caller's bytes.
namespace router::http {

enum class Method : std::uint8_t { kGet, kHead, kPost, kConnect, kTrace, kOptions, kOther };

/// Fields that the router uses. All others are kOther and only passed on. At most 64 (Fields::has).
enum class Field : std::uint8_t {
  kOther,
  kLookalike,   // the name of a field below with `_` for `-`, which CGI and WSGI servers treat as equal: X_Forwarded_For
  kForwarding,  // other fields in which a proxy describes its client or the request: X-Forwarded-*, X-Real-IP, …
  kApiKey,
  kAuthorization,
  kAzuremlModelDeployment,
  kConnection,
  kContentLength,
  kDate,
  kExpect,
  kFleet,  // x-ir, x-ir-*: what the routers of a fleet tell each other about a request
  kForwarded,
  kHost,
  kKeepAlive,
  kLocation,
  kMaxForwards,
  kProxyAuthenticate,
  kProxyAuthorization,
  kProxyConnection,
  kRetryAfter,
  kTe,
  kTraceparent,
  kTrailer,
  kTransferEncoding,
  kUpgrade,
  kUserAgent,
  kVia,
  kXForwardedFor,
  kXForwardedHost,
  kXForwardedPrefix,
  kXForwardedProto,
  kXMsClientRequestId,
  kXMsRequestId,
  kXRequestDeadlineMs,
  kXRequestId,
  kXRouterReason,
};

struct FieldLine {
  std::string_view name;
  std::string_view value;  // without the white space around it
  Field id;
};

/// The field lines of one head or trailer section, in order. The parser limits their number; lines beyond kUsual cost an
/// allocation.
class Fields {
 public:
  static constexpr std::size_t kUsual = 128;

  const FieldLine* begin() const { return lines_.data(); }
  const FieldLine* end() const { return lines_.data() + lines_.size(); }
  std::size_t size() const { return lines_.size(); }
  void clear() {
    lines_.clear();
    present_ = 0;
    repeated_ = 0;
  }
  void add(const FieldLine& line);
  bool has(Field id) const { return (present_ >> static_cast<unsigned>(id) & 1) != 0; }
  /// Whether the field has more than one line.
  bool repeats(Field id) const { return (repeated_ >> static_cast<unsigned>(id) & 1) != 0; }
  /// The value of the first line of that field; empty if there is none.
  std::string_view get(Field id) const;

 private:
  std::uint64_t present_ = 0;
  std::uint64_t repeated_ = 0;
  absl::InlinedVector<FieldLine, kUsual> lines_;
};

struct RequestHead {
  Method method = Method::kOther;
  std::string_view method_text;
  std::string_view target;     // as sent: origin-form, absolute-form or `*`
  std::string_view path;       // path of the target, without the query
  std::string_view query;      // with its `?`, or empty
  std::string_view authority;  // Host, or the authority of an absolute-form target, as sent (with port)
  int minor_version = 1;
  Fields fields;
};

struct ResponseHead {
  int status = 0;
  std::string_view reason_phrase;
  int minor_version = 1;
  Fields fields;
};

/// Finds the end of a head in bytes that arrive piece by piece. Each byte is read once.
class HeadScanner {
 public:
  /// `bytes` are all bytes of the message so far. Returns the size of the head with its empty line, or 0 while it is
  /// incomplete.
  std::size_t scan(std::string_view bytes);

 private:
  std::size_t seen_ = 0;
};

/// Parses a complete head (as found by HeadScanner). Strict: anything that two parsers might read differently is refused
/// (bad_request): obs-fold, bare CR or LF, white space before the colon, control characters, more than one Host, an empty Host
/// or none (HTTP/1.1), and most of what request_framing refuses. An expectation other than `100-continue` is refused, too (RFC
/// 9110, 10.1.1: 417). Refused as headers_too_large: more than `max_fields` fields, and more than HopByHop::kElementsMax
/// elements of Connection. The caller skips CRLF before a request line (RFC 9112, 2.2).
Result<void> parse_request(std::string_view head, RequestHead& into, std::size_t max_fields = Fields::kUsual);
/// Parses a response of at most Fields::kUsual fields by the same rules; failures are upstream_invalid_response. White space
/// before a colon is dropped (RFC 9112, 5.1).
Result<void> parse_response(std::string_view head, ResponseHead& into);

/// White space between a field's name and its colon: refused in a request, where it may be request smuggling; dropped in a
/// response, since small servers send it (RFC 9112, 5.1).
enum class Blanks : std::uint8_t { kRefused, kDropped };
/// Parses a trailer section: field lines up to and including the empty line. False if it is malformed.
bool parse_trailer_fields(std::string_view section, Fields& into, Blanks before_colon = Blanks::kRefused);

/// Whether the sender of this head keeps the connection open after the message (RFC 9112, 9.3).
bool keeps_alive(const RequestHead& head);
bool keeps_alive(const ResponseHead& head);
/// Whether `list` (a comma-separated field value) contains `token`, ignoring case.
bool lists_token(std::string_view list, std::string_view token);
bool equals_ignoring_case(std::string_view a, std::string_view b);
/// Whether the client waits for a 100 (Continue) before it sends its body; never in HTTP/1.0 (RFC 9110, 10.1.1).
bool expects_continue(const RequestHead& head);
/// How often an OPTIONS or TRACE request may still be forwarded (RFC 9110, 7.6.2). Nothing if the field is missing, malformed
/// or has more than 9 digits: such a field is passed on unchanged.
std::optional<std::uint32_t> max_forwards(const RequestHead& head);

}  // namespace router::http

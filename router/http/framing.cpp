#include "router/http/framing.h"

#include "router/base/assert.h"
#include "router/http/characters.h"

namespace router::http {
namespace {

constexpr std::size_t kLengthDigitsMax = 18;  // fits 64 bits, and sums do not overflow

/// Parses digits only: no sign, no list, no white space (RFC 9110, 8.6).
bool parse_length(std::string_view text, std::uint64_t& into) {
  if (text.empty() || text.size() > kLengthDigitsMax || !consists_of(text, kDigits)) return false;
  into = 0;
  for (const char c : text) into = into * 10 + static_cast<std::uint64_t>(c - '0');
  return true;
}

enum class Coding { kNone, kChunked, kUnknown, kEndless, kMalformed };

/// Counts the codings of one line of Transfer-Encoding. `last`: its last coding is `chunked`. False if an element is not a bare
/// token: `chunked` has no parameters, and an empty or quoted element might be read differently by another parser.
bool count_codings(std::string_view list, std::size_t& all, std::size_t& chunked, bool& last) {
  for (;;) {
    const std::size_t comma = list.find(',');
    const std::string_view coding = trim(list.substr(0, comma));
    if (coding.empty() || !consists_of(coding, kToken)) return false;
    ++all;
    last = equals_ignoring_case(coding, "chunked");
    chunked += last;
    if (comma == std::string_view::npos) return true;
    list.remove_prefix(comma + 1);
  }
}

/// Only a single `chunked` is accepted. Any other value is unknown or might be read differently by another parser.
Coding transfer_coding(const Fields& fields) {
  if (!fields.has(Field::kTransferEncoding)) return Coding::kNone;
  std::size_t all = 0;
  std::size_t chunked = 0;
  bool last = false;
  for (const FieldLine& line : fields) {
    if (line.id == Field::kTransferEncoding && !count_codings(line.value, all, chunked, last)) return Coding::kMalformed;
  }
  if (chunked > 1) return Coding::kMalformed;
  if (!last) return Coding::kEndless;
  return all == 1 ? Coding::kChunked : Coding::kUnknown;
}

/// Reads the declared length. False if it is declared twice, or in a way that two parsers might read differently.
bool content_length(const Fields& fields, std::uint64_t& into) {
  std::size_t lines = 0;
  for (const FieldLine& line : fields) {
    if (line.id != Field::kContentLength) continue;
    ROUTER_PLANT(lines == 1 && line.value == fields.get(Field::kContentLength));
    if (++lines > 1 || !parse_length(line.value, into)) return false;
  }
  return true;
}

Framing of_length(std::uint64_t length) { return {length > 0 ? Framing::Kind::kLength : Framing::Kind::kNone, length}; }

}  // namespace

Result<Framing> request_framing(const RequestHead& head) {
  const auto refuse = [](const char* cause) { return Failure::downstream(Reason::kBadRequest, cause); };
  std::uint64_t length = 0;
  if (!content_length(head.fields, length)) return refuse("Content-Length is malformed or given twice");
  const Coding coding = transfer_coding(head.fields);
  if (coding == Coding::kNone) return of_length(length);
  if (head.minor_version == 0) return refuse("Transfer-Encoding in HTTP/1.0");
  if (head.fields.has(Field::kContentLength)) return refuse("both Content-Length and Transfer-Encoding");
  if (coding == Coding::kMalformed) return refuse("Transfer-Encoding is malformed or given twice");
  if (coding == Coding::kEndless) return refuse("the last transfer coding is not chunked");
  if (coding == Coding::kUnknown) return Failure::downstream(Reason::kUnsupportedCoding, "a transfer coding before chunked");
  return Framing{Framing::Kind::kChunked};
}

Result<Framing> response_framing(const ResponseHead& head, Method method) {
  const auto refuse = [](const char* cause) { return Failure::upstream(Reason::kUpstreamInvalidResponse, cause); };
  std::uint64_t length = 0;
  if (!content_length(head.fields, length)) return refuse("the pod's Content-Length is malformed or given twice");
  const Coding coding = transfer_coding(head.fields);
  if (coding != Coding::kNone && head.fields.has(Field::kContentLength)) {
    return refuse("the pod sent both Content-Length and Transfer-Encoding");
  }
  if (method == Method::kHead || head.status < 200 || head.status == 204 || head.status == 304) return Framing{};
  switch (coding) {
    case Coding::kChunked:
      if (head.minor_version == 0) return refuse("the pod sent Transfer-Encoding in HTTP/1.0");
      return Framing{Framing::Kind::kChunked};
    case Coding::kMalformed:
    case Coding::kEndless:
    case Coding::kUnknown: return refuse("the pod used a transfer coding other than chunked");
    case Coding::kNone: break;
  }
  if (head.fields.has(Field::kContentLength)) return of_length(length);
  return Framing{Framing::Kind::kUntilClose};
}

}  // namespace router::http

#include "router/http/framing.h"

#include <algorithm>

namespace router::http {
namespace {

/// Digits only: no sign, no list, no white space (RFC 9110, 8.6).
bool parse_length(std::string_view text, std::uint64_t& into) {
  if (text.empty() || text.size() > 18 || text.find_first_not_of("0123456789") != std::string_view::npos) return false;
  into = 0;
  for (const char c : text) into = into * 10 + static_cast<std::uint64_t>(c - '0');
  return true;
}

enum class Coding { kNone, kChunked, kUnknown, kMalformed };

/// `chunked`, alone, once: everything else is either unknown to us or an attempt to be read in two ways.
Coding transfer_coding(const Fields& fields) {
  if (!fields.has(Field::kTransferEncoding)) return Coding::kNone;
  std::size_t lines = 0;
  bool chunked_somewhere = false;
  std::string_view value;
  for (const FieldLine& line : fields) {
    if (line.id != Field::kTransferEncoding) continue;
    ++lines;
    value = line.value;
    chunked_somewhere = chunked_somewhere || lists_token(line.value, "chunked");
  }
  if (lines == 1 && equals_ignoring_case(value, "chunked")) return Coding::kChunked;
  const bool repeated = chunked_somewhere && (lines > 1 || value.find(',') == std::string_view::npos);
  return repeated || value.empty() ? Coding::kMalformed : Coding::kUnknown;
}

/// The declared length; false if it is declared twice, or in a way that two parsers might read differently.
bool content_length(const Fields& fields, std::uint64_t& into) {
  std::size_t lines = 0;
  for (const FieldLine& line : fields) {
    if (line.id != Field::kContentLength) continue;
    if (++lines > 1 || !parse_length(line.value, into)) return false;
  }
  return true;
}

Framing of_length(std::uint64_t length) { return {length > 0 ? Framing::Kind::kLength : Framing::Kind::kNone, length}; }

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool may_be_trailer(Field id) {
  switch (id) {
    case Field::kContentLength:
    case Field::kTransferEncoding:
    case Field::kHost:
    case Field::kConnection:
    case Field::kAuthorization:
    case Field::kTrailer:
    case Field::kTe: return false;  // RFC 9110, 6.5.1: what frames, routes or authenticates
    default: return true;
  }
}

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
  if (coding == Coding::kUnknown)
    return Failure::downstream(Reason::kUnsupportedCoding, "a transfer coding other than chunked");
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
    case Coding::kUnknown: return refuse("the pod used a transfer coding other than chunked");
    case Coding::kNone: break;
  }
  if (head.fields.has(Field::kContentLength)) return of_length(length);
  return Framing{Framing::Kind::kUntilClose};
}

BodyDecoder::BodyDecoder(Framing framing, Origin origin)
    : framing_(framing), origin_(origin), ended_(framing.kind == Framing::Kind::kNone), left_(framing.length) {
  if (framing.kind == Framing::Kind::kChunked) left_ = 0;
}

Failure BodyDecoder::malformed(const char* cause) const {
  return origin_ == Origin::kDownstream ? Failure::downstream(Reason::kBadRequest, cause)
                                        : Failure::upstream(Reason::kUpstreamInvalidResponse, cause);
}

Result<BodyDecoder::Step> BodyDecoder::next(std::string_view input) {
  if (ended_) return Step{0, {}, true};
  if (framing_.kind != Framing::Kind::kChunked) return plain(input);
  switch (state_) {
    case State::kSize: return chunk_size(input);
    case State::kData: return chunk_data(input);
    case State::kDataEnd: return chunk_data_end(input);
    case State::kTrailers: return trailer_section(input);
  }
  return malformed("unreachable");
}

BodyDecoder::Step BodyDecoder::plain(std::string_view input) {
  if (framing_.kind == Framing::Kind::kUntilClose) return {input.size(), input, false};
  const auto taken = static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size()));
  left_ -= taken;
  ended_ = left_ == 0;
  return {taken, input.substr(0, taken), ended_};
}

Result<bool> BodyDecoder::keep_line(std::string_view input, std::size_t limit, std::size_t& consumed) {
  if (!chunked_) chunked_ = std::make_unique<Chunked>();
  const std::size_t end = input.find('\n');
  consumed = end == std::string_view::npos ? input.size() : end + 1;
  chunked_->kept.append(input.substr(0, consumed));
  if (chunked_->kept.size() > limit) return malformed("a chunk's size line or the trailers are too long");
  if (end == std::string_view::npos) return false;
  if (!chunked_->kept.ends_with("\r\n")) return malformed("a line of the chunked body does not end with CRLF");
  return true;
}

Result<BodyDecoder::Step> BodyDecoder::chunk_size(std::string_view input) {
  std::size_t consumed = 0;
  const Result<bool> complete = keep_line(input, kSizeLineMax, consumed);
  if (!complete) return complete.error();
  if (*complete) {
    if (const Result<void> begun = begin_chunk(); !begun) return begun.error();
  }
  return Step{consumed, {}, false};
}

Result<void> BodyDecoder::begin_chunk() {
  const std::string_view line = std::string_view(chunked_->kept).substr(0, chunked_->kept.size() - 2);
  std::size_t digits = 0;
  std::uint64_t size = 0;
  while (digits < line.size() && hex_digit(line[digits]) >= 0) {
    if (digits == 15) return malformed("a chunk size is too large");
    size = size * 16 + static_cast<std::uint64_t>(hex_digit(line[digits++]));
  }
  if (digits == 0) return malformed("a chunk size is not hexadecimal");
  // Extensions are allowed and dropped (RFC 9112, 7.1.1); white space before them is bad form, anything else is no chunk size.
  std::string_view rest = line.substr(digits);
  for (const char c : rest) {
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f)
      return malformed("a control character in a chunk's size line");
  }
  if (!rest.empty() && rest.front() != ';') return malformed("a chunk size is followed by something else than an extension");
  chunked_->kept.clear();
  left_ = size;
  state_ = size == 0 ? State::kTrailers : State::kData;
  return {};
}

BodyDecoder::Step BodyDecoder::chunk_data(std::string_view input) {
  const auto taken = static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size()));
  left_ -= taken;
  if (left_ == 0) {
    state_ = State::kDataEnd;
    data_end_seen_ = 0;
  }
  return {taken, input.substr(0, taken), false};
}

Result<BodyDecoder::Step> BodyDecoder::chunk_data_end(std::string_view input) {
  constexpr std::string_view kEnd = "\r\n";
  std::size_t consumed = 0;
  while (consumed < input.size() && data_end_seen_ < kEnd.size()) {
    if (input[consumed++] != kEnd[data_end_seen_++]) return malformed("a chunk is longer than its size");
  }
  if (data_end_seen_ == kEnd.size()) state_ = State::kSize;
  return Step{consumed, {}, false};
}

Result<BodyDecoder::Step> BodyDecoder::trailer_section(std::string_view input) {
  std::size_t consumed = 0;
  const Result<bool> complete = keep_line(input, kTrailersMax, consumed);
  if (!complete) return complete.error();
  // An empty line ends the section: a complete line that is CRLF alone.
  const std::string& kept = chunked_->kept;
  const bool empty_line = *complete && (kept == "\r\n" || kept.ends_with("\r\n\r\n"));
  if (empty_line) {
    if (const Result<void> parsed = parse_trailers(); !parsed) return parsed.error();
    ended_ = true;
  }
  return Step{consumed, {}, ended_};
}

Result<void> BodyDecoder::parse_trailers() {
  Fields all;
  if (!parse_trailer_fields(chunked_->kept, all)) return malformed("a trailer field is malformed");
  for (const FieldLine& line : all) {
    if (may_be_trailer(line.id)) chunked_->trailers.add(line);
  }
  return {};
}

Result<void> BodyDecoder::closed() {
  if (framing_.kind == Framing::Kind::kUntilClose) ended_ = true;
  if (ended_) return {};
  return origin_ == Origin::kDownstream ? Failure::downstream(Reason::kClientClosed, "the client closed within a body")
                                        : Failure::upstream(Reason::kUpstreamReset, "the pod closed within a body");
}

const Fields* BodyDecoder::trailers() const {
  return ended_ && chunked_ && chunked_->trailers.size() > 0 ? &chunked_->trailers : nullptr;
}

}  // namespace router::http

#include <algorithm>
#include <iterator>

#include "router/base/assert.h"
#include "router/http/characters.h"
#include "router/http/framing.h"
#include "router/http/known_fields.h"

namespace router::http {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// Fields that the router acts on in a head are not accepted as trailers. Neither are fields that say how to read the body:
/// they would arrive too late.
bool may_be_trailer(const FieldLine& line) {
  constexpr std::string_view kTooLate[] = {"content-encoding", "content-type", "content-range", "cookie", "set-cookie"};
  return line.id == Field::kOther && std::none_of(std::begin(kTooLate), std::end(kTooLate),
                                                  [&](std::string_view name) { return may_mean(line.name, name); });
}

}  // namespace

BodyDecoder::BodyDecoder(Framing framing, Origin origin)
    : framing_(framing), origin_(origin), ended_(framing.kind == Framing::Kind::kNone) {
  if (framing.kind != Framing::Kind::kLength) return;
  left_ = framing.length;
  ended_ = left_ == 0;
}

Failure BodyDecoder::malformed(const char* cause) const {
  return origin_ == Origin::kDownstream ? Failure::downstream(Reason::kBadRequest, cause)
                                        : Failure::upstream(Reason::kUpstreamInvalidResponse, cause);
}

Result<BodyDecoder::Step> BodyDecoder::next(std::string_view input) {
  if (ended_) return Step{0, {}, true};
  if (framing_.kind == Framing::Kind::kChunked) return chunked(input);
  return plain(input);
}

BodyDecoder::Step BodyDecoder::plain(std::string_view input) {
  if (framing_.kind == Framing::Kind::kUntilClose) return {input.size(), input, false};
  const auto taken = static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size()));
  left_ -= taken;
  ended_ = left_ == 0;
  return {taken, input.substr(0, taken), ended_};
}

Result<BodyDecoder::Step> BodyDecoder::chunked(std::string_view input) {
  for (std::size_t at = 0; at < input.size(); ++at) {
    if (state_ == State::kData) return chunk_data(input, at);
    if (state_ == State::kSize) at += read_digits(input.substr(at));
    if (at == input.size()) break;
    if (const Mistake mistake = framing_byte(input[at])) return malformed(mistake.cause);
    if (ended_) return Step{at + 1, {}, true};
  }
  return Step{input.size(), {}, false};
}

BodyDecoder::Step BodyDecoder::chunk_data(std::string_view input, std::size_t framing) {
  const auto taken = static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size() - framing));
  left_ -= taken;
  if (left_ == 0) state_ = State::kDataCr;
  return {framing + taken, input.substr(framing, taken), false};
}

Mistake BodyDecoder::framing_byte(char c) {
  switch (state_) {
    case State::kSize: return end_digits(c);
    case State::kExtension: return extension_byte(c);
    case State::kSizeEnd:
      if (c != '\n') return {"a chunk's size line does not end with CRLF"};
      begin_chunk();
      return {};
    case State::kDataCr: state_ = State::kDataLf; return c == '\r' ? Mistake{} : Mistake{"a chunk is longer than its size"};
    case State::kDataLf: state_ = State::kSize; return c == '\n' ? Mistake{} : Mistake{"a chunk does not end with CRLF"};
    case State::kTrailers:
      if (c == '\r') {
        state_ = State::kLastLf;
        return {};
      }
      trailers_ = std::make_unique<Trailers>();
      state_ = State::kTrailerLine;
      return trailer_byte(c);
    case State::kTrailerLine: return trailer_byte(c);
    case State::kLastLf: ended_ = true; return c == '\n' ? Mistake{} : Mistake{"a chunked body does not end with CRLF"};
    case State::kData: break;
  }
  return {"our bug: data taken for framing"};
}

/// Reads the digits of a chunk's size that `input` begins with, up to the number that a size may have. Returns how many.
std::size_t BodyDecoder::read_digits(std::string_view input) {
  std::size_t at = 0;
  for (; at < input.size() && line_bytes_ < kSizeDigitsMax; ++at, ++line_bytes_) {
    const int digit = hex_digit(input[at]);
    if (digit < 0) break;
    left_ = left_ << 4 | static_cast<std::uint64_t>(digit);
  }
  return at;
}

Mistake BodyDecoder::end_digits(char c) {
  if (hex_digit(c) >= 0) return {"a chunk size has more than 16 digits"};
  ROUTER_PLANT(line_bytes_ > 0 && left_ == 0 && c == '+');
  if (line_bytes_ == 0) return {"a chunk size is not hexadecimal"};
  if (c == '\r') {
    state_ = State::kSizeEnd;
    return {};
  }
  if (c != ';' && !is_blank(c)) return {"a chunk size is followed by something other than an extension"};
  state_ = State::kExtension;
  extension_ = Extension::kSemicolon;
  return extension_byte(c);
}

/// Whether `c` is allowed at this position of the extension. If it is, moves to the next state.
bool BodyDecoder::move_within_extension(char c) {
  const auto to = [this](Extension next) {
    extension_ = next;
    return true;
  };
  const bool is_token = kToken[static_cast<unsigned char>(c)];
  switch (extension_) {
    case Extension::kSemicolon:
    case Extension::kQuotedEnd:
      if (is_blank(c)) return to(Extension::kSemicolon);
      return c == ';' && to(Extension::kNameBegin);
    case Extension::kNameBegin: return is_blank(c) || (is_token && to(Extension::kName));
    case Extension::kName:
    case Extension::kNameBehind:
      if (c == '=') return to(Extension::kValueBegin);
      if (c == ';') return to(Extension::kNameBegin);
      if (is_blank(c)) return to(Extension::kNameBehind);
      return is_token && extension_ == Extension::kName;
    case Extension::kValueBegin:
      if (c == '"') return to(Extension::kQuoted);
      return is_blank(c) || (is_token && to(Extension::kValue));
    case Extension::kValue:
      if (c == ';') return to(Extension::kNameBegin);
      return is_token || (is_blank(c) && to(Extension::kSemicolon));
    case Extension::kQuoted:
      if (c == '"') return to(Extension::kQuotedEnd);
      if (c == '\\') return to(Extension::kEscaped);
      return kText[static_cast<unsigned char>(c)];
    case Extension::kEscaped: return kText[static_cast<unsigned char>(c)] && to(Extension::kQuoted);
  }
  return false;
}

/// Chunk extensions are hop-by-hop and are not used (RFC 9112, 7.1.1), but they must be parsed to find the end of the size
/// line.
Mistake BodyDecoder::extension_byte(char c) {
  if (c == '\r') {
    const bool may_end =
        extension_ == Extension::kName || extension_ == Extension::kValue || extension_ == Extension::kQuotedEnd;
    if (!may_end) return {"a chunk extension is not complete"};
    state_ = State::kSizeEnd;
    return {};
  }
  if (++line_bytes_ > kSizeLineMax) return {"a chunk's size line is longer than 4 KB"};
  return move_within_extension(c) ? Mistake{} : Mistake{"a chunk extension is malformed"};
}

void BodyDecoder::begin_chunk() {
  state_ = left_ == 0 ? State::kTrailers : State::kData;
  line_bytes_ = 0;
}

Mistake BodyDecoder::trailer_byte(char c) {
  std::string& section = trailers_->section;
  if (section.size() == kTrailersMax) return {"the trailers are longer than 8 KB"};
  section.push_back(c);
  if (c != '\n') return {};
  if (!section.ends_with("\r\n")) return {"a line of the trailers does not end with CRLF"};
  if (!section.ends_with("\r\n\r\n")) return {};
  Fields all;
  const Blanks blanks = origin_ == Origin::kUpstream ? Blanks::kDropped : Blanks::kRefused;
  if (!parse_trailer_fields(section, all, blanks)) return {"a trailer field is malformed"};
  for (const FieldLine& line : all) {
    if (may_be_trailer(line)) trailers_->fields.add(line);
  }
  ended_ = true;
  return {};
}

Result<void> BodyDecoder::closed() {
  if (framing_.kind == Framing::Kind::kUntilClose) ended_ = true;
  if (ended_) return {};
  return origin_ == Origin::kDownstream ? Failure::downstream(Reason::kClientClosed, "the client closed within a body")
                                        : Failure::upstream(Reason::kUpstreamReset, "the pod closed within a body");
}

const Fields* BodyDecoder::trailers() const {
  return ended_ && trailers_ && trailers_->fields.size() > 0 ? &trailers_->fields : nullptr;
}

}  // namespace router::http

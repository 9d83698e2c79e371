#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>

#include "router/base/assert.h"
#include "router/http/characters.h"
#include "router/http/head.h"
#include "router/http/hop_by_hop.h"
#include "router/http/known_fields.h"
#include "router/http/target.h"

/// Beast's basic_parser splits the heads, without its containers: its callbacks get views into the caller's bytes, because it
/// always gets one whole head in one buffer. What Beast accepts but the router does not is refused before (check_lines) or in
/// the callbacks.
namespace router::http {
namespace {

namespace beast_http = boost::beast::http;
using boost::beast::string_view;
using boost::system::error_code;

/// Checks the bytes before Beast parses them: lines that end with CRLF, no control characters, no folded lines. Beast would
/// unfold a line into memory of its own, and does not refuse all of the rest. The loop has no branches and works on bytes, so
/// that the compiler can vectorize it.
Mistake check_lines(std::string_view bytes) {
  if (!bytes.ends_with("\r\n\r\n") || bytes.front() == '\n') return {"the head is not complete, or begins with a line feed"};
  std::uint8_t control = 0;
  std::uint8_t bare = 0;  // CR without LF, or LF without CR
  std::uint8_t folded = 0;
  for (std::size_t at = 0; at + 1 < bytes.size(); ++at) {
    const auto c = static_cast<std::uint8_t>(bytes[at]);
    const auto next = static_cast<std::uint8_t>(bytes[at + 1]);
    const bool line_end = (c == '\r') | (c == '\n');
    control |= static_cast<std::uint8_t>(((c < 0x20) & (c != '\t') & !line_end) | (c == 0x7f));
    bare |= static_cast<std::uint8_t>((c == '\r') ^ (next == '\n'));
    folded |= static_cast<std::uint8_t>((c == '\n') & ((next == ' ') | (next == '\t')));
  }
  if (control != 0) return {"a control character in the head"};
  if (bare != 0) return {"a bare carriage return or line feed in the head"};
  return folded != 0 ? Mistake{"a folded line in the head"} : Mistake{};
}

Method method_of(beast_http::verb verb) {
  switch (verb) {
    case beast_http::verb::get: return Method::kGet;
    case beast_http::verb::head: return Method::kHead;
    case beast_http::verb::post: return Method::kPost;
    case beast_http::verb::connect: return Method::kConnect;
    case beast_http::verb::trace: return Method::kTrace;
    case beast_http::verb::options: return Method::kOptions;
    default: return Method::kOther;
  }
}

/// Beast's parser, which fills a head. Used once, for one head.
template <class Head>
class HeadParser final : public beast_http::basic_parser<std::is_same_v<Head, RequestHead>> {
 public:
  HeadParser(Head& into, std::size_t max_fields) : into_(into), max_fields_(max_fields) {
    this->header_limit(std::numeric_limits<std::uint32_t>::max());  // the caller has limited the head already
    this->skip(true);                                               // BodyDecoder reads the bodies
  }

  Mistake parse(std::string_view bytes) {
    error_code error;
    const std::size_t used = this->put(boost::asio::const_buffer(bytes.data(), bytes.size()), error);
    if (mistake_) return mistake_;
    if (error) return explain(error);
    if (!this->is_header_done() || used != bytes.size()) return {"bytes after the head"};
    return {};
  }

 private:
  static std::string_view view(string_view text) { return {text.data(), text.size()}; }

  static Mistake explain(const error_code& error) {
    if (error == beast_http::error::bad_method) return {"the method is not a token"};
    if (error == beast_http::error::bad_target) return {"the request target contains a character that is not allowed"};
    if (error == beast_http::error::bad_version) return {"the start line has no HTTP version, or extra characters around it"};
    if (error == beast_http::error::bad_status) return {"the status is not a number of three digits"};
    if (error == beast_http::error::bad_field) return {"a line of the head is not a field, or its name is not a token"};
    if (error == beast_http::error::bad_content_length) return {"Content-Length is malformed"};
    if (error == beast_http::error::multiple_content_length) return {"Content-Length is given twice"};
    if (error == beast_http::error::bad_transfer_encoding) return {"Transfer-Encoding is given twice, or with Content-Length"};
    if (error == beast_http::error::bad_value) return {"a field value is malformed"};
    return {"the head is malformed"};
  }

  void refuse(const Mistake& mistake, error_code& error) {
    mistake_ = mistake;
    error = beast_http::error::bad_value;
  }

  void on_request_impl(beast_http::verb verb, string_view method, string_view target, int version, error_code& error) override {
    if constexpr (std::is_same_v<Head, RequestHead>) {
      into_.method = method_of(verb);
      into_.method_text = view(method);
      into_.target = view(target);
      into_.minor_version = version % 10;
      if (const Mistake mistake = parse_target(into_)) refuse(mistake, error);
    }
  }

  void on_response_impl(int status, string_view reason, int version, error_code& error) override {
    if constexpr (std::is_same_v<Head, ResponseHead>) {
      into_.status = status;
      into_.reason_phrase = view(reason);
      into_.minor_version = version % 10;
      if (status < 100 || status > 599) refuse({"the status is not from 100 to 599"}, error);
    }
  }

  void on_field_impl(beast_http::field, string_view name, string_view value, error_code& error) override {
    if (into_.fields.size() == max_fields_) {
      constexpr bool kAsks = std::is_same_v<Head, RequestHead>;
      return refuse({kAsks ? "more fields than max_header_fields" : "more than 128 fields", Reason::kHeadersTooLarge}, error);
    }
    into_.fields.add({view(name), view(value), identify(view(name))});
  }

  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(string_view, error_code&) override { return 0; }
  void on_chunk_header_impl(std::uint64_t, string_view, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, string_view, error_code&) override { return 0; }
  void on_finish_impl(error_code&) override {}

  Head& into_;
  const std::size_t max_fields_;
  Mistake mistake_;
};

/// Whether a request line is valid except for its version, which belongs to another HTTP: the HTTP/2 preface, HTTP/1.2,
/// HTTP/0.9 written in full.
bool has_unsupported_version(std::string_view bytes) {
  const std::string_view line = bytes.substr(0, bytes.find('\r'));
  const std::size_t method = line.find(' ');
  const std::size_t target = method == std::string_view::npos ? method : line.find(' ', method + 1);
  if (method == 0 || target == std::string_view::npos || target == method + 1) return false;
  if (!consists_of(line.substr(0, method), kToken)) return false;
  const std::string_view version = line.substr(target + 1);
  return version.size() == 8 && version.starts_with("HTTP/") && version[6] == '.' &&
         kDigits[static_cast<unsigned char>(version[5])] && kDigits[static_cast<unsigned char>(version[7])] &&
         version != "HTTP/1.1" && version != "HTTP/1.0";
}

std::size_t count(const Fields& fields, Field id) {
  std::size_t found = 0;
  if (!fields.has(id)) return found;
  for (const FieldLine& line : fields) found += line.id == id;
  return found;
}

Mistake check_host(RequestHead& head) {
  const std::size_t hosts = count(head.fields, Field::kHost);
  if (hosts > 1) return {"more than one Host"};
  if (hosts == 0 && head.minor_version == 1) return {"no Host"};
  const std::string_view host = head.fields.get(Field::kHost);
  if (hosts == 1 && !is_host(host)) return {"the Host is empty or malformed"};
  ROUTER_PLANT(!head.authority.empty() && head.authority.find(':') == std::string_view::npos && host.ends_with(":80"));
  if (head.authority.empty()) head.authority = host;
  return {};
}

/// Only `100-continue` is accepted, any number of times (RFC 9110, 10.1.1). Empty elements are ignored (5.6.1.2).
Mistake check_expectation(const Fields& fields) {
  if (!fields.has(Field::kExpect)) return {};
  for (const FieldLine& line : fields) {
    if (line.id != Field::kExpect) continue;
    for (std::string_view list = line.value;;) {
      const std::size_t comma = list.find(',');
      const std::string_view element = trim(list.substr(0, comma));
      if (!element.empty() && !equals_ignoring_case(element, "100-continue")) {
        return {"an expectation other than 100-continue", Reason::kBadExpectation};
      }
      if (comma == std::string_view::npos) break;
      list.remove_prefix(comma + 1);
    }
  }
  return {};
}

/// Limits the elements of Connection: each one may name a field of the head (HopByHop).
Mistake check_connection(const Fields& fields) {
  if (!fields.has(Field::kConnection)) return {};
  std::size_t elements = 0;
  for (const FieldLine& line : fields) {
    if (line.id == Field::kConnection)
      elements += 1 + static_cast<std::size_t>(std::count(line.value.begin(), line.value.end(), ','));
  }
  return elements > HopByHop::kElementsMax ? Mistake{"more than 128 elements in Connection", Reason::kHeadersTooLarge}
                                           : Mistake{};
}

Mistake parse(std::string_view bytes, RequestHead& into, std::size_t max_fields) {
  if (const Mistake mistake = check_lines(bytes)) return mistake;
  if (has_unsupported_version(bytes)) return {"the HTTP version is neither 1.0 nor 1.1", Reason::kUnsupportedVersion};
  if (const Mistake mistake = HeadParser(into, max_fields).parse(bytes)) return mistake;
  if (const Mistake mistake = check_connection(into.fields)) return mistake;
  if (const Mistake mistake = check_host(into)) return mistake;
  return check_expectation(into.fields);
}

bool lacks_reason(std::string_view bytes) { return bytes.size() > 12 && bytes[12] == '\r'; }

/// Moves the blanks before the first colon of each field line behind it, where they have no meaning. Nothing else moves. False
/// if there are none.
bool move_blanks(std::string& bytes) {
  bool moved = false;
  for (std::size_t line = bytes.find('\n') + 1; line < bytes.size(); line = bytes.find('\n', line) + 1) {
    const std::size_t colon = bytes.find_first_of(":\r", line);
    std::size_t name_end = colon;
    while (name_end > line && is_blank(bytes[name_end - 1])) --name_end;
    if (bytes[colon] != ':' || name_end == colon || name_end == line) continue;
    std::swap(bytes[name_end], bytes[colon]);
    moved = true;
  }
  return moved;
}

/// Accepts two mistakes of small servers that are wrong (RFC 9112, 4 and 5.1) but not ambiguous: a status line that ends right
/// after the status, and blanks before a colon. Beast parses a corrected copy; the views are then mapped back to the caller's
/// bytes.
Mistake parse_mended(std::string_view bytes, ResponseHead& into, const Mistake& mistake) {
  std::string mended(bytes);
  const std::size_t added = lacks_reason(bytes) ? 1 : 0;
  mended.insert(12, added, ' ');
  if (!move_blanks(mended) && added == 0) return mistake;
  ResponseHead copy;
  if (const Mistake left = HeadParser(copy, Fields::kUsual).parse(mended)) return left;
  const auto original = [&](std::string_view text) {
    return bytes.substr(static_cast<std::size_t>(text.data() - mended.data()) - added, text.size());
  };
  into.status = copy.status;
  into.minor_version = copy.minor_version;
  into.reason_phrase = added > 0 ? std::string_view{} : original(copy.reason_phrase);
  into.fields.clear();
  for (const FieldLine& line : copy.fields) into.fields.add({original(line.name), original(line.value), line.id});
  return {};
}

Mistake parse(std::string_view bytes, ResponseHead& into) {
  if (const Mistake mistake = check_lines(bytes)) return mistake;
  Mistake mistake = lacks_reason(bytes) ? Mistake{"no reason"} : HeadParser(into, Fields::kUsual).parse(bytes);
  if (mistake && bytes.size() > 12) mistake = parse_mended(bytes, into, mistake);
  return mistake ? mistake : check_connection(into.fields);
}

}  // namespace

Result<void> parse_request(std::string_view head, RequestHead& into, std::size_t max_fields) {
  into.fields.clear();
  if (const Mistake mistake = parse(head, into, max_fields)) return Failure::downstream(mistake.reason, mistake.cause);
  return {};
}

Result<void> parse_response(std::string_view head, ResponseHead& into) {
  into.fields.clear();
  if (const Mistake mistake = parse(head, into)) return Failure::upstream(Reason::kUpstreamInvalidResponse, mistake.cause);
  return {};
}

}  // namespace router::http

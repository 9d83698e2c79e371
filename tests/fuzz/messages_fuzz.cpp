#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "router/http/framing.h"
#include "router/http/head.h"
#include "tests/fuzz/support.h"

/// A whole connection: heads and bodies one after the other, as a client (first byte even) or a pod (odd) sends them. The end
/// of each message, and so the start of the next one, must not depend on how the bytes arrive: request smuggling exploits such
/// differences. The second byte chooses the sizes of the pieces.
namespace router::http {
namespace {

using fuzz::require;

constexpr std::size_t kMessagesMax = 64;

/// The result of one reading of the connection.
struct Reading {
  std::vector<std::string> messages;  // start line, number of fields, body, trailers
  std::size_t used = 0;               // up to the end of the last complete message
  bool failed = false;
  bool operator==(const Reading&) const = default;
};

struct Begun {
  std::string start;
  Framing framing;
};

Result<Begun> begin_request(std::string_view head) {
  RequestHead parsed;
  if (const Result<void> result = parse_request(head, parsed); !result) return result.error();
  const Result<Framing> framing = request_framing(parsed);
  if (!framing) return framing.error();
  require(framing->kind != Framing::Kind::kUntilClose);  // otherwise the server would wait for ever (RFC 9112, 6.3)
  std::string start(parsed.method_text);
  start.append(" ").append(parsed.target).append(" ").append(std::to_string(parsed.fields.size()));
  return Begun{std::move(start), *framing};
}

Result<Begun> begin_response(std::string_view head) {
  ResponseHead parsed;
  if (const Result<void> result = parse_response(head, parsed); !result) return result.error();
  const Result<Framing> framing = response_framing(parsed, Method::kPost);
  if (!framing) return framing.error();
  return Begun{std::to_string(parsed.status) + " " + std::to_string(parsed.fields.size()), *framing};
}

/// Reads the messages of a connection whose bytes arrive in pieces.
class Reader {
 public:
  explicit Reader(Origin origin) : origin_(origin) {}

  void take(std::string_view arrived) {
    while (!reading_.failed && reading_.messages.size() < kMessagesMax && step(arrived)) {
    }
  }
  Reading end() {
    if (in_body_ && !reading_.failed && decoder_.closed() && decoder_.ended()) finish();
    return std::move(reading_);
  }

 private:
  /// Returns false if it needs more bytes.
  bool step(std::string_view arrived) {
    const std::string_view input = arrived.substr(at_);
    return in_body_ ? body(input) : head(input);
  }

  bool head(std::string_view input) {
    const std::size_t size = scanner_.scan(input);
    if (size == 0) return false;
    Result<Begun> begun =
        origin_ == Origin::kDownstream ? begin_request(input.substr(0, size)) : begin_response(input.substr(0, size));
    if (!begun) return fail(begun.error());
    scanner_ = {};
    at_ += size;
    message_ = begun->start + "\n";
    decoder_ = BodyDecoder(begun->framing, origin_);
    in_body_ = true;
    if (decoder_.ended()) finish();
    return true;
  }

  bool body(std::string_view input) {
    if (input.empty()) return false;
    const Result<BodyDecoder::Step> taken = decoder_.next(input);
    if (!taken) return fail(taken.error());
    require(taken->consumed <= input.size() && fuzz::lies_within(taken->bytes, input.substr(0, taken->consumed)));
    require(taken->ended == decoder_.ended());
    message_.append(taken->bytes);
    at_ += taken->consumed;
    if (taken->ended) finish();
    return taken->ended || taken->consumed > 0;
  }

  bool fail(const Failure& failure) {
    // The origin decides between 400 and 502, and whether the pod is blamed.
    require(failure.origin == origin_);
    reading_.failed = true;
    return false;
  }

  void finish() {
    if (const Fields* trailers = decoder_.trailers()) {
      for (const FieldLine& line : *trailers) message_.append(line.name).append(":").append(line.value).append("\n");
    }
    reading_.messages.push_back(std::move(message_));
    reading_.used = at_;
    in_body_ = false;
  }

  Origin origin_;
  std::size_t at_ = 0;
  bool in_body_ = false;
  HeadScanner scanner_;
  BodyDecoder decoder_;
  std::string message_;
  Reading reading_;
};

Reading read_in_pieces(Origin origin, std::string_view input, std::size_t size, std::size_t step) {
  Reader reader(origin);
  for (std::size_t arrived = 0; arrived < input.size();) {
    arrived = std::min(input.size(), arrived + std::max<std::size_t>(size, 1));
    reader.take(input.substr(0, arrived));
    size = (size + step) % 509;
  }
  return reader.end();
}

}  // namespace
}  // namespace router::http

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using router::http::read_in_pieces;
  if (size < 2) return 0;
  const router::Origin origin = data[0] % 2 == 0 ? router::Origin::kDownstream : router::Origin::kUpstream;
  const std::string_view input = router::fuzz::text_of(data + 2, size - 2);
  const auto at_once = read_in_pieces(origin, input, input.size(), 0);
  router::fuzz::require(read_in_pieces(origin, input, 1, 0) == at_once);
  router::fuzz::require(read_in_pieces(origin, input, data[1], data[1] / 3 + 1U) == at_once);
  return 0;
}

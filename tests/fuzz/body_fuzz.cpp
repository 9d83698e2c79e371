#include <algorithm>
#include <string>
#include <string_view>

#include "router/http/framing.h"
#include "tests/fuzz/support.h"

/// Bodies of every framing. The decoded bytes, the end of the body and a refusal must not depend on how the bytes arrive. The
/// first byte chooses the framing and the sender (0x80: a pod), the second one the sizes of the pieces.
namespace router::http {
namespace {

using fuzz::require;

struct Outcome {
  std::string bytes;
  std::string trailers;
  std::size_t used = 0;
  bool ended = false;
  bool failed = false;
  bool operator==(const Outcome&) const = default;
};

/// Decodes `input` in pieces, which have one size, or sizes that change by `step`.
Outcome decode(Framing framing, Origin origin, std::string_view input, std::size_t first, std::size_t step) {
  BodyDecoder decoder(framing, origin);
  Outcome out;
  std::size_t size = first;
  while (out.used < input.size() && !decoder.ended()) {
    const std::string_view piece = input.substr(out.used, std::max<std::size_t>(size, 1));
    const Result<BodyDecoder::Step> taken = decoder.next(piece);
    if (!taken) {
      require(taken.error().origin == origin);
      out.failed = true;
      out.used = 0;  // the number of bytes that were read before a refusal may differ
      return out;
    }
    require(taken->consumed > 0 && taken->consumed <= piece.size());
    require(fuzz::lies_within(taken->bytes, piece.substr(0, taken->consumed)));
    require(taken->ended == decoder.ended());
    out.bytes.append(taken->bytes);
    out.used += taken->consumed;
    size = (size + step) % 257;
  }
  const bool complete = decoder.ended();
  const Result<void> closed = decoder.closed();
  require(closed.has_value() == (complete || framing.kind == Framing::Kind::kUntilClose));
  require(closed.has_value() == decoder.ended());
  out.ended = complete;
  if (const Fields* trailers = decoder.trailers()) {
    for (const FieldLine& line : *trailers) out.trailers.append(line.name).append(":").append(line.value).append("\n");
  }
  return out;
}

Framing choose(std::uint8_t byte) {
  switch (byte % 4) {
    case 0: return {Framing::Kind::kLength, byte};
    case 1: return {Framing::Kind::kUntilClose};
    default: return {Framing::Kind::kChunked};
  }
}

}  // namespace
}  // namespace router::http

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using router::http::decode;
  if (size < 2) return 0;
  const router::http::Framing framing = router::http::choose(data[0]);
  const router::Origin origin = data[0] < 0x80 ? router::Origin::kDownstream : router::Origin::kUpstream;
  const std::string_view input = router::fuzz::text_of(data + 2, size - 2);
  const auto at_once = decode(framing, origin, input, input.size(), 0);
  router::fuzz::require(decode(framing, origin, input, 1, 0) == at_once);
  router::fuzz::require(decode(framing, origin, input, data[1], data[1] / 3 + 1U) == at_once);
  return 0;
}

#include <string>
#include <vector>

#include "router/fleet_link/frame.h"
#include "tests/fuzz/support.h"

/// What arrives on a link of the fleet: frames, in pieces of any size. The first byte is a seed for the sizes of the pieces.
/// The frames must be those that a second, simple implementation finds in the whole input.
namespace router::fleet_link {
namespace {

using fuzz::require;

struct Result {
  std::vector<std::string> frames;
  bool too_long = false;
  std::size_t held = 0;
  friend bool operator==(const Result&, const Result&) = default;
};

/// Splits `input` in pieces; `next_size` returns the size of each.
template <class NextSize>
Result split(std::string_view input, NextSize next_size) {
  FrameSplitter splitter;
  Result result;
  std::size_t arrived = 0;
  while (!input.empty()) {
    const std::string piece(input.substr(0, next_size()));  // a copy: a read beyond the piece is found
    input.remove_prefix(piece.size());
    arrived += piece.size();
    std::string_view rest = piece;
    for (;;) {
      const FrameSplitter::Step step = splitter.next(rest);
      if (step.state == FrameSplitter::State::kPartial) break;
      if (step.state == FrameSplitter::State::kTooLong) {
        result.too_long = true;
        return result;
      }
      require(step.frame.size() <= kFrameMax);
      result.frames.emplace_back(step.frame);
    }
    require(rest.empty());
    require(splitter.held() <= arrived);
  }
  result.held = splitter.held();
  return result;
}

/// The same by the definition, from the whole input at once.
Result split_at_once(std::string_view input) {
  Result result;
  while (input.size() >= kFrameHeader) {
    std::size_t size = 0;
    for (std::size_t i = 0; i < kFrameHeader; ++i) size = size * 256 + static_cast<unsigned char>(input[i]);
    if (size > kFrameMax) {
      result.too_long = true;
      return result;
    }
    if (input.size() - kFrameHeader < size) break;
    result.frames.emplace_back(input.substr(kFrameHeader, size));
    input.remove_prefix(kFrameHeader + size);
  }
  result.held = input.size();
  return result;
}

/// Frames that are written again are the input as far as it was complete.
void write_again(const Result& result, std::string_view input) {
  std::string written;
  for (const std::string& frame : result.frames) {
    const auto header = frame_header(frame.size());
    written.append(header.data(), header.size());
    written.append(frame);
  }
  require(input.starts_with(written));
}

/// A pseudo-random size, small ones more often than large ones.
class Sizes {
 public:
  explicit Sizes(std::uint8_t seed) : state_(seed * 2654435761U | 1) {}
  std::size_t operator()() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 17;
    state_ ^= state_ << 5;
    return 1 + (state_ >> 8) % (std::size_t{1} << state_ % 12);
  }

 private:
  std::uint32_t state_;
};

}  // namespace
}  // namespace router::fleet_link

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace router::fleet_link;
  if (size == 0) return 0;
  const std::string_view input = router::fuzz::text_of(data + 1, size - 1);
  const Result expected = split_at_once(input);
  require(split(input, Sizes(data[0])) == expected);
  require(split(input, [] { return std::size_t{1}; }) == expected);
  require(split(input, [&] { return input.size(); }) == expected);
  write_again(expected, input);
  return 0;
}

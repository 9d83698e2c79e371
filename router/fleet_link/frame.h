#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace router::fleet_link {

/// A frame is a length of four bytes, the highest first, and so many bytes.
inline constexpr std::size_t kFrameMax = 1024 * 1024;
inline constexpr std::size_t kFrameHeader = 4;

/// The length before a frame of at most kFrameMax bytes.
std::array<char, kFrameHeader> frame_header(std::size_t size);

/// Splits what arrives on a link into frames, wherever the pieces begin and end. Holds only bytes that have arrived, whatever
/// length the peer announces.
class FrameSplitter {
 public:
  enum class State {
    kPartial,  // all of the input was taken; the next frame is not complete
    kFrame,    // `frame` is the next one
    kTooLong,  // the peer announces more than kFrameMax bytes: the link cannot go on
  };
  struct Step {
    State state = State::kPartial;
    std::string_view frame;  // valid until the next call, and as long as the input
  };
  /// Takes the next frame from the begin of `input`, or all of `input`. May throw std::bad_alloc; then it must not be used
  /// again.
  Step next(std::string_view& input);

  /// Bytes of a frame that is not complete.
  std::size_t held() const { return header_size_ + body_.size(); }

 private:
  bool take_header(std::string_view& input);
  std::size_t length() const;
  Step frame_in(std::string_view& input, std::size_t size);

  std::array<char, kFrameHeader> header_{};
  std::size_t header_size_ = 0;
  std::string body_;
  bool returned_ = false;  // `body_` is the frame that the last call returned
};

}  // namespace router::fleet_link

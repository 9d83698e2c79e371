#include "router/fleet_link/frame.h"

#include <algorithm>
#include <cstdint>

#include "router/base/assert.h"

namespace router::fleet_link {
namespace {

constexpr std::size_t kKeptMax = 16 * 1024;  // memory that a splitter keeps for the next frame

}  // namespace

std::array<char, kFrameHeader> frame_header(std::size_t size) {
  ROUTER_ASSERT(size <= kFrameMax);
  const auto number = static_cast<std::uint32_t>(size);
  return {static_cast<char>(number >> 24), static_cast<char>(number >> 16), static_cast<char>(number >> 8),
          static_cast<char>(number)};
}

/// True when the length is complete.
bool FrameSplitter::take_header(std::string_view& input) {
  const std::size_t taken = std::min(input.size(), kFrameHeader - header_size_);
  std::copy_n(input.begin(), taken, header_.begin() + static_cast<std::ptrdiff_t>(header_size_));
  header_size_ += taken;
  input.remove_prefix(taken);
  return header_size_ == kFrameHeader;
}

std::size_t FrameSplitter::length() const {
  std::uint32_t number = 0;
  for (const char byte : header_) number = number << 8 | static_cast<unsigned char>(byte);
  return number;
}

FrameSplitter::Step FrameSplitter::next(std::string_view& input) {
  if (returned_) {
    returned_ = false;
    body_.clear();
    if (body_.capacity() > kKeptMax) std::string().swap(body_);
  }
  if (!take_header(input)) return {};
  const std::size_t size = length();
  ROUTER_PLANT(size != 0 && size < 0x10000 && size % 0x100 == 0);
  if (size > kFrameMax) return {State::kTooLong, {}};
  return frame_in(input, size);
}

/// A frame that lies in the input as a whole is not copied.
FrameSplitter::Step FrameSplitter::frame_in(std::string_view& input, std::size_t size) {
  const std::string_view part = input.substr(0, size - body_.size());
  const bool whole = body_.empty() && part.size() == size;
  if (!whole) body_.append(part);
  input.remove_prefix(part.size());
  if (!whole && body_.size() < size) return {};
  header_size_ = 0;
  returned_ = !whole;
  return {State::kFrame, whole ? part : std::string_view(body_)};
}

}  // namespace router::fleet_link

#include "router/fleet_link/frame.h"

#include <gtest/gtest.h>

#include <vector>

namespace router::fleet_link {
namespace {

using State = FrameSplitter::State;

std::string framed(std::string_view bytes) {
  const auto header = frame_header(bytes.size());
  return std::string(header.data(), header.size()) + std::string(bytes);
}

/// All frames of `bytes` in pieces of `size`; "too long" at the end if that was found.
std::vector<std::string> split(std::string_view bytes, std::size_t size, FrameSplitter& splitter) {
  std::vector<std::string> frames;
  while (!bytes.empty()) {
    std::string_view piece = bytes.substr(0, size);
    bytes.remove_prefix(piece.size());
    for (FrameSplitter::Step step = splitter.next(piece); step.state != State::kPartial; step = splitter.next(piece)) {
      frames.emplace_back(step.state == State::kFrame ? step.frame : "too long");
      if (step.state == State::kTooLong) return frames;
    }
  }
  return frames;
}

TEST(Frame, LengthIsFourBytesTheHighestFirst) {
  EXPECT_EQ(framed("abc"), std::string("\0\0\0\3abc", 7));
  EXPECT_EQ(framed(std::string(0x010203, 'x')).substr(0, 4), std::string("\0\1\2\3", 4));
}

TEST(FrameSplitter, ReturnsTheSameFramesHoweverTheInputIsCut) {
  const std::vector<std::string> frames{"one", "", "two", std::string(70000, 'x'), "three"};
  std::string all;
  for (const std::string& each : frames) all += framed(each);
  for (const std::size_t size : {1, 2, 3, 4, 5, 7, 1000, 69999, 1000000}) {
    FrameSplitter splitter;
    EXPECT_EQ(split(all, size, splitter), frames) << size;
    EXPECT_EQ(splitter.held(), 0u);
  }
}

TEST(FrameSplitter, TakesAFrameOfTheLargestSizeAndNoneBeyond) {
  FrameSplitter largest;
  EXPECT_EQ(split(framed(std::string(kFrameMax, 'x')), 100000, largest).front().size(), kFrameMax);
  FrameSplitter beyond;
  EXPECT_EQ(split(std::string("\0\x10\0\1", 4), 4, beyond), std::vector<std::string>{"too long"});
  FrameSplitter gigabyte;
  EXPECT_EQ(split(std::string("\x40\0\0\0", 4), 1, gigabyte), std::vector<std::string>{"too long"});
}

TEST(FrameSplitter, HoldsOnlyWhatHasArrived) {
  FrameSplitter splitter;
  EXPECT_TRUE(split(std::string("\0\x10\0\0", 4) + "abc", 7, splitter).empty());
  EXPECT_EQ(splitter.held(), 7u);
}

}  // namespace
}  // namespace router::fleet_link

#include "router/kubernetes/watch_events.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace router::kubernetes {
namespace {

std::vector<std::string> lines_of(std::string_view body, std::size_t piece) {
  EventLines lines;
  std::vector<std::string> all;
  for (; !body.empty(); body.remove_prefix(std::min(piece, body.size()))) {
    lines.bytes().append(body.substr(0, piece));
    while (const auto line = lines.next()) all.emplace_back(*line);
  }
  return all;
}

TEST(EventLines, AreTheSameHoweverTheirBytesArrive) {
  constexpr std::string_view kBody = "one\ntwo\n\nthree\nfour is under way";
  for (std::size_t piece = 1; piece <= kBody.size(); ++piece) {
    EXPECT_EQ(lines_of(kBody, piece), (std::vector<std::string>{"one", "two", "", "three"})) << piece;
  }
}

TEST(EventLines, KeepNothingOfWhatWasTaken) {
  EventLines lines;
  for (int i = 0; i < 100; ++i) {
    lines.bytes().append(std::string(100'000, 'x') + "\n");
    EXPECT_TRUE(lines.next().has_value());
    EXPECT_FALSE(lines.next().has_value());
  }
  EXPECT_TRUE(lines.bytes().empty());
  EXPECT_FALSE(lines.is_too_long());
}

TEST(EventLines, SayWhenOneIsTooLong) {
  EventLines lines;
  lines.bytes().append("short\n" + std::string(EventLines::kEventMax, 'x'));
  EXPECT_EQ(lines.next(), "short");
  EXPECT_FALSE(lines.next().has_value());
  EXPECT_FALSE(lines.is_too_long());
  lines.bytes().append("x");
  EXPECT_TRUE(lines.is_too_long());
}

}  // namespace
}  // namespace router::kubernetes

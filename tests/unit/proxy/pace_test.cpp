#include "router/proxy/pace.h"

#include <gtest/gtest.h>

namespace router::proxy {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(Pace, BeginsWithAGraceOfFiveSeconds) {
  Pace pace(240, seconds(60));
  EXPECT_EQ(pace.left(), seconds(5));
  pace.waited(milliseconds(4999));
  EXPECT_EQ(pace.left(), milliseconds(1));
  pace.waited(milliseconds(1));
  EXPECT_EQ(pace.left(), seconds(0));
}

TEST(Pace, IsKeptUpByTheMinimumRateForEver) {
  Pace pace(240, seconds(60));
  std::uint64_t total = 0;
  for (int second = 0; second < 3600; ++second) {
    pace.waited(seconds(1));
    ASSERT_GT(pace.left(), seconds(0)) << "after " << second;
    pace.moved(total += 240);
  }
}

TEST(Pace, IsLostBySingleBytes) {
  Pace pace(240, seconds(60));
  std::uint64_t total = 0;
  Duration waited{};
  while (waited < hours(1)) {
    const Duration until_the_next_byte = std::min<Duration>(seconds(1), pace.left());
    pace.waited(until_the_next_byte);
    waited += until_the_next_byte;
    if (pace.left() == seconds(0)) break;
    pace.moved(total += 1);
  }
  EXPECT_LT(waited, seconds(6));
}

TEST(Pace, AllowsAFastClientNoLongerPauseThanTheTimeout) {
  Pace pace(240, seconds(60));
  pace.moved(100'000'000'000);
  EXPECT_EQ(pace.left(), seconds(60));
  pace.waited(seconds(60));
  EXPECT_EQ(pace.left(), seconds(0));
}

TEST(Pace, OwesNothingForWhatTheRouterItselfWasLateFor) {
  Pace pace(240, seconds(60));
  pace.waited(hours(1));
  pace.moved(240);
  EXPECT_EQ(pace.left(), seconds(1));
}

TEST(Pace, IsNoMatterAtZero) {
  Pace pace(0, seconds(60));
  pace.waited(hours(100));
  pace.moved(1);
  EXPECT_EQ(pace.left(), Duration::max());
}

}  // namespace
}  // namespace router::proxy

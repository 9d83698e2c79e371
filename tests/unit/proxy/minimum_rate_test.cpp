#include "router/proxy/minimum_rate.h"

#include <gtest/gtest.h>

namespace router::proxy {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(MinimumRate, BeginsWithAGraceOfFiveSeconds) {
  MinimumRate rate(240, seconds(60));
  EXPECT_EQ(rate.left(), seconds(5));
  rate.waited(milliseconds(4999));
  EXPECT_EQ(rate.left(), milliseconds(1));
  rate.waited(milliseconds(1));
  EXPECT_EQ(rate.left(), seconds(0));
}

TEST(MinimumRate, IsKeptUpByTheMinimumRateForEver) {
  MinimumRate rate(240, seconds(60));
  std::uint64_t total = 0;
  for (int second = 0; second < 3600; ++second) {
    rate.waited(seconds(1));
    ASSERT_GT(rate.left(), seconds(0)) << "after second " << second;
    rate.moved(total += 240);
  }
}

TEST(MinimumRate, IsLostBySingleBytes) {
  MinimumRate rate(240, seconds(60));
  std::uint64_t total = 0;
  Duration waited{};
  while (waited < hours(1)) {
    const Duration until_the_next_byte = std::min<Duration>(seconds(1), rate.left());
    rate.waited(until_the_next_byte);
    waited += until_the_next_byte;
    if (rate.left() == seconds(0)) break;
    rate.moved(total += 1);
  }
  EXPECT_LT(waited, seconds(6));
}

TEST(MinimumRate, AllowsAFastClientNoLongerPauseThanTheTimeout) {
  MinimumRate rate(240, seconds(60));
  rate.moved(100'000'000'000);
  EXPECT_EQ(rate.left(), seconds(60));
  rate.waited(seconds(60));
  EXPECT_EQ(rate.left(), seconds(0));
}

TEST(MinimumRate, OwesNothingForWhatTheRouterItselfWasLateFor) {
  MinimumRate rate(240, seconds(60));
  rate.waited(hours(1));
  rate.moved(240);
  EXPECT_EQ(rate.left(), seconds(1));
}

TEST(MinimumRate, IsNoMatterAtZero) {
  MinimumRate rate(0, seconds(60));
  rate.waited(hours(100));
  rate.moved(1);
  EXPECT_EQ(rate.left(), Duration::max());
}

}  // namespace
}  // namespace router::proxy

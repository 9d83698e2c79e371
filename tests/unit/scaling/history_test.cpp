#include "router/scaling/history.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "tests/unit/scaling/cases.h"

namespace router::scaling::test {
namespace {

TEST(ScalingHistory, ExtremesAreThoseOfTheLastTime) {
  std::mt19937 random(7);
  SlidingExtreme most(SlidingExtreme::Which::kMost, seconds(60));
  SlidingExtreme least(SlidingExtreme::Which::kLeast, seconds(60));
  std::vector<int> values;
  for (int second = 0; second < 2000; ++second) {
    values.push_back(static_cast<int>(random() % 20));
    const auto begin = values.end() - std::min(second + 1, 61);
    EXPECT_EQ(most.add(kStart + seconds(second), values.back(), seconds(60)), *std::max_element(begin, values.end()));
    EXPECT_EQ(least.add(kStart + seconds(second), values.back(), seconds(60)), *std::min_element(begin, values.end()));
  }
}

TEST(ScalingHistory, AWindowThatBecomesLongerFindsWhatItHadLeftOut) {
  SlidingExtreme most(SlidingExtreme::Which::kMost, seconds(600));
  most.add(kStart, 9, seconds(60));
  EXPECT_EQ(most.add(kStart + seconds(100), 2, seconds(60)), 2);
  EXPECT_EQ(most.add(kStart + seconds(101), 1, seconds(300)), 9);
  EXPECT_EQ(most.add(kStart + seconds(601), 1, seconds(600)), 2);
}

class ScalingPodStarts : public testing::Test {
 protected:
  void see(int second, int replicas, int ready, bool rollout = false) {
    starts_.see(kStart + seconds(second), replicas, ready, rollout);
  }
  /// A replica that takes `time` to start, from 1 to 2 and back.
  void start(int& second, int time) {
    see(second, 1, 1);
    see(second, 2, 1);
    see(second += time, 2, 2);
    see(++second, 1, 1);
  }
  PodStarts starts_;
};

TEST_F(ScalingPodStarts, AreThirtySecondsUntilOneWasSeen) {
  EXPECT_EQ(starts_.median(), seconds(30));
  int second = 0;
  start(second, 12);
  EXPECT_EQ(starts_.median(), seconds(12));
}

TEST_F(ScalingPodStarts, AreTheMedianOfTheLastEight) {
  int second = 0;
  for (const int time : {500, 500, 500, 500, 500, 10, 11, 12, 13, 14, 15, 16, 900}) start(second, time);
  EXPECT_EQ(starts_.median(), seconds(13));
}

TEST_F(ScalingPodStarts, ASecondRequestHasItsOwnTime) {
  see(0, 1, 1);
  see(10, 3, 1);
  see(30, 5, 1);
  see(40, 5, 3);  // the two of 10
  EXPECT_EQ(starts_.median(), seconds(30));
  EXPECT_EQ(starts_.asked_for(kStart + seconds(40)), seconds(10));
  see(90, 5, 5);
  EXPECT_EQ(starts_.asked_for(kStart + seconds(99)), seconds(0));
}

TEST_F(ScalingPodStarts, WhatIsAskedForNoMoreIsNotMissing) {
  see(0, 1, 1);
  see(10, 3, 1);
  see(20, 6, 1);
  see(30, 3, 1);
  EXPECT_EQ(starts_.asked_for(kStart + seconds(30)), seconds(20));
  see(40, 1, 1);
  EXPECT_EQ(starts_.asked_for(kStart + seconds(40)), seconds(0));
}

TEST_F(ScalingPodStarts, APodThatIsReadyAgainOrOfARolloutIsNoStart) {
  see(0, 3, 3);
  see(10, 4, 3);
  see(11, 4, 2);
  see(12, 4, 3);  // again
  EXPECT_EQ(starts_.median(), seconds(30));
  see(13, 4, 4, true);
  EXPECT_EQ(starts_.median(), seconds(30));
  EXPECT_EQ(starts_.asked_for(kStart + seconds(14)), seconds(0));
}

}  // namespace
}  // namespace router::scaling::test

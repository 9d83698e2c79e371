#include "router/upstream/closing_habit.h"

#include <gtest/gtest.h>

namespace router::upstream {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class ClosingHabitTest : public ::testing::Test {
 protected:
  /// A connection opens now and ends a moment later. Returns whether the replica becomes one that closes silently.
  bool ends() {
    const TimePoint opened = now;
    now += milliseconds(1);
    return habit.ended(opened, now);
  }

  ClosingHabit habit;
  TimePoint now{std::chrono::hours(1)};
};

TEST_F(ClosingHabitTest, TrustsNobodyAtFirst) {
  EXPECT_FALSE(habit.keeps());
  EXPECT_FALSE(habit.closes(now));
}

TEST_F(ClosingHabitTest, TrustsAfterThreeConnectionsThatWereFoundAlive) {
  habit.lived(milliseconds(10));
  habit.lived(milliseconds(10));
  EXPECT_FALSE(habit.keeps());
  habit.lived(milliseconds(10));
  EXPECT_TRUE(habit.keeps());
}

TEST_F(ClosingHabitTest, TrustsAfterOneThatHasRestedForLong) {
  habit.lived(milliseconds(100));
  EXPECT_TRUE(habit.keeps());
}

TEST_F(ClosingHabitTest, TrustEndsWithOneSilentEnd) {
  habit.lived(milliseconds(100));
  EXPECT_FALSE(ends());
  EXPECT_FALSE(habit.keeps());
  EXPECT_FALSE(habit.closes(now));
}

TEST_F(ClosingHabitTest, TwoInARowAreAHabit) {
  EXPECT_FALSE(ends());
  EXPECT_TRUE(ends());
  EXPECT_TRUE(habit.closes(now));
  EXPECT_FALSE(ends()) << "the habit is known already";
}

TEST_F(ClosingHabitTest, OneThatRestsForLongInBetweenBreaksTheRow) {
  EXPECT_FALSE(ends());
  habit.lived(milliseconds(100));
  EXPECT_FALSE(ends());
  EXPECT_FALSE(habit.closes(now));
}

TEST_F(ClosingHabitTest, AServerThatClosesAfterFiftyMillisecondsIsFoundOutAllTheSame) {
  EXPECT_FALSE(ends());
  for (int taken = 0; taken < 5; ++taken) habit.lived(milliseconds(40));
  EXPECT_TRUE(ends());
}

TEST_F(ClosingHabitTest, AServerThatStopsAndEndsAllItsConnectionsHasEndedOnce) {
  const TimePoint opened = now;
  now += seconds(10);
  for (int connection = 0; connection < 8; ++connection) EXPECT_FALSE(habit.ended(opened, now));
  EXPECT_FALSE(habit.closes(now));
}

TEST_F(ClosingHabitTest, TwoEndsFarApartAreNoHabit) {
  EXPECT_FALSE(ends());
  now += ClosingHabit::kRemembered + seconds(1);
  EXPECT_FALSE(ends());
  EXPECT_FALSE(habit.closes(now));
}

TEST_F(ClosingHabitTest, IsForgottenAMinuteAfterTheLastEnd) {
  ends(), ends();
  now += seconds(50);
  ends();
  now += seconds(50);
  EXPECT_TRUE(habit.closes(now));
  habit.lived(milliseconds(100));
  EXPECT_TRUE(habit.closes(now)) << "one connection that lived a little longer does not end the habit";
  EXPECT_TRUE(habit.closes_as_seen_by_others(now));
  now += seconds(10);
  EXPECT_FALSE(habit.closes_as_seen_by_others(now));
  EXPECT_FALSE(habit.closes(now));
  EXPECT_FALSE(habit.keeps());
}

}  // namespace
}  // namespace router::upstream

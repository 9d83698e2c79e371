#include "router/base/log_deduplicator.h"

#include <gtest/gtest.h>

namespace router {
namespace {

using std::chrono::seconds;
using Repeat = LogDeduplicator::Options::Repeat;

TEST(LogDeduplicator, LogsEachTextOnceUntilTheRecovery) {
  LogDeduplicator log;
  EXPECT_FALSE(log.recovered());
  EXPECT_TRUE(log.should_log("a"));
  EXPECT_TRUE(log.should_log("b"));
  EXPECT_FALSE(log.should_log("a"));
  EXPECT_FALSE(log.should_log("b"));
  EXPECT_TRUE(log.recovered());
  EXPECT_FALSE(log.recovered());
  EXPECT_TRUE(log.should_log("a"));
}

TEST(LogDeduplicator, LogsNoMoreThanSoManyDifferentTexts) {
  LogDeduplicator log({.logged_max = 2});
  EXPECT_TRUE(log.should_log("a"));
  EXPECT_TRUE(log.should_log("b"));
  EXPECT_FALSE(log.should_log("c"));
  EXPECT_TRUE(log.recovered());
  EXPECT_TRUE(log.should_log("c"));
}

TEST(LogDeduplicator, LogsEachChangeIfOnlyTheLastTextIsARepeat) {
  LogDeduplicator log({.repeat = Repeat::kLastLogged, .logged_max = LogDeduplicator::kUnlimited});
  EXPECT_TRUE(log.should_log("a"));
  EXPECT_FALSE(log.should_log("a"));
  EXPECT_TRUE(log.should_log("b"));
  EXPECT_TRUE(log.should_log("a"));
}

TEST(LogDeduplicator, FilledTheLogWithWhatFailsInTwoWaysByTurns) {
  LogDeduplicator log({.repeat = Repeat::kLastLogged, .logged_max = 6, .window = seconds(60)});
  TimePoint now{};
  EXPECT_TRUE(log.should_log("connection refused", now));
  EXPECT_FALSE(log.should_log("connection refused", now += seconds(1))) << "the same message was just logged";
  EXPECT_TRUE(log.should_log("503 from GET /", now += seconds(1)));
  EXPECT_TRUE(log.recovered());
  std::size_t logged = 2;
  for (int i = 0; i < 50; ++i) logged += log.should_log(i % 2 == 0 ? "a" : "b", now + seconds(i)) ? 1 : 0;
  EXPECT_EQ(logged, 6U);
  EXPECT_TRUE(log.should_log("c", now + seconds(60))) << "after the interval it is logged again";
}

}  // namespace
}  // namespace router

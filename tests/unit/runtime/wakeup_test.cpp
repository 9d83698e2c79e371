#include "router/runtime/wakeup.h"

#include <gtest/gtest.h>

#include "tests/support/test_shard.h"

namespace router::runtime {
namespace {

using std::chrono::seconds;
using test::TestShard;

class WakeupTest : public ::testing::Test {
 protected:
  Task<bool> wait(Deadline deadline) { co_return co_await wakeup.wait(deadline); }
  Deadline in(Duration time) const { return shard.now() + time; }

  TestShard shard;
  Wakeup wakeup{shard};
};

TEST_F(WakeupTest, EndsTheWaitWithTrue) {
  auto waiting = shard.start(wait(kNever));
  EXPECT_FALSE(waiting.done());
  wakeup.wake();
  EXPECT_TRUE(waiting.get());
}

TEST_F(WakeupTest, IsKeptWhileNobodyWaits) {
  wakeup.wake();
  wakeup.wake();
  EXPECT_TRUE(shard.run(wait(kNever)));
  auto second = shard.start(wait(kNever));
  EXPECT_FALSE(second.done()) << "one wait takes all that came before it";
  wakeup.wake();
}

TEST_F(WakeupTest, KeepsAwakeWhoSaysSo) {
  wakeup.keep_awake();
  EXPECT_TRUE(shard.run(wait(kNever)));
}

TEST_F(WakeupTest, EndsTheWaitWithFalseAtItsDeadline) {
  auto waiting = shard.start(wait(in(seconds(2))));
  shard.advance(seconds(1));
  EXPECT_FALSE(waiting.done());
  shard.advance(seconds(1));
  EXPECT_FALSE(waiting.get());
}

TEST_F(WakeupTest, MeasuresEachWaitByItsOwnDeadline) {
  auto first = shard.start(wait(in(seconds(1))));
  wakeup.wake();
  EXPECT_TRUE(first.get());
  auto later = shard.start(wait(in(seconds(5))));
  shard.advance(seconds(2));  // the first wait's time
  EXPECT_FALSE(later.done());
  wakeup.wake();
  auto sooner = shard.start(wait(in(seconds(1))));
  shard.advance(seconds(1));
  EXPECT_FALSE(sooner.get());
}

TEST_F(WakeupTest, WithoutADeadlineOutlivesTheTimerOfAnEarlierWait) {
  auto first = shard.start(wait(in(seconds(1))));
  wakeup.wake();
  auto endless = shard.start(wait(kNever));
  shard.advance(seconds(100));
  EXPECT_FALSE(endless.done());
  wakeup.wake();
  EXPECT_TRUE(endless.get());
}

TEST_F(WakeupTest, DoesNotLetAPassedDeadlineHideAWakeUp) {
  wakeup.wake();
  EXPECT_TRUE(shard.run(wait(shard.now() - seconds(1))));
}

}  // namespace
}  // namespace router::runtime

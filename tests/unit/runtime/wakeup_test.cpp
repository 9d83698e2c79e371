#include "router/runtime/wakeup.h"

#include <gtest/gtest.h>

#include <memory>
#include <new>

#include "tests/support/failing_memory.h"
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
  EXPECT_FALSE(second.done()) << "one wait consumes all earlier wake-ups";
  wakeup.wake();
}

TEST_F(WakeupTest, DoesNotResumeACoroutineWhoseWaitFailedForWantOfMemory) {
  int steps = 0;
  Wakeup end(shard);
  const auto wait_in_vain = [](Wakeup& first, Wakeup& then, Deadline deadline, int& taken) -> Task<int> {
    try {
      const test::FailingMemory none(0);
      co_await first.wait(deadline);
    } catch (const std::bad_alloc&) {
      ++taken;
    }
    co_await then.wait(kNever);
    co_return ++taken;
  };
  auto waiting = shard.start(wait_in_vain(wakeup, end, in(seconds(1)), steps));
  EXPECT_EQ(steps, 1) << "the wait threw the exception";
  wakeup.wake();
  shard.advance(seconds(2));
  EXPECT_FALSE(waiting.done()) << "the coroutine waits at the other wakeup now";
  end.wake();
  EXPECT_EQ(waiting.get(), 2);
}

TEST_F(WakeupTest, WakesAllOfAListAlsoWhenOneOfThemEndsOthers) {
  Wakeup::List list;
  auto second = std::make_unique<Wakeup>(shard);
  Wakeup third(shard);
  list.push_back(wakeup);
  list.push_back(*second);
  list.push_back(third);
  int woken = 0;
  const auto end_the_next = [](Wakeup& at, std::unique_ptr<Wakeup>& next, int& count) -> Task<int> {
    co_await at.wait(kNever);
    next.reset();
    co_return ++count;
  };
  const auto only_wait = [](Wakeup& at, int& count) -> Task<int> {
    co_await at.wait(kNever);
    co_return ++count;
  };
  auto one = shard.start(end_the_next(wakeup, second, woken));
  auto three = shard.start(only_wait(third, woken));
  {
    const test::FailingMemory none(0);
    Wakeup::wake_all(list);
    EXPECT_EQ(none.failed(), 0u);
  }
  EXPECT_EQ(woken, 2);
  EXPECT_EQ(list.size(), 2u) << "the wakeups that still exist stay in the list";
}

#ifdef ROUTER_CHECKS
TEST(WakeupDeath, IsNotUsedFromInsideAnotherCoroutine) {
  TestShard shard;
  Wakeup outer(shard);
  Wakeup inner(shard);
  const auto wait = [](Wakeup& at) -> Task<bool> { co_return co_await at.wait(kNever); };
  const auto wake_another = [](Wakeup& at, Wakeup& other) -> Task<bool> {
    co_await at.wait(kNever);
    other.wake();
    co_return true;
  };
  auto waiting = shard.start(wait(inner));
  auto waking = shard.start(wake_another(outer, inner));
  EXPECT_DEATH(outer.wake(), "our bug");
  inner.wake();
  outer.wake();
}
#endif

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
  shard.advance(seconds(2));  // the deadline of the first wait
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

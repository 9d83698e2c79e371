#include "router/runtime/task_group.h"

#include <gtest/gtest.h>

#include <memory>
#include <new>
#include <stdexcept>

#include "tests/support/failing_memory.h"
#include "tests/support/test_shard.h"

namespace router::runtime {
namespace {

using std::chrono::seconds;
using test::TestShard;

class TaskGroupTest : public ::testing::Test {
 protected:
  static Task<void> until_woken(Wakeup& wakeup, int& ended) {
    co_await wakeup.wait(kNever);
    ++ended;
  }
  static Task<void> fail() {
    throw std::runtime_error("broken");
    co_return;
  }

  TestShard shard;
  TaskGroup group{shard, 2};
  Wakeup first{shard};
  Wakeup second{shard};
  int ended = 0;
};

TEST_F(TaskGroupTest, StartsATaskAtOnce) {
  const auto count = [](int& into) -> Task<void> {
    ++into;
    co_return;
  };
  EXPECT_TRUE(group.try_spawn(count(ended)));
  EXPECT_EQ(ended, 1);
  EXPECT_EQ(group.running(), 0u);
}

TEST_F(TaskGroupTest, RefusesWhatIsBeyondItsLimitAndDropsItUnrun) {
  EXPECT_TRUE(group.try_spawn(until_woken(first, ended)));
  EXPECT_TRUE(group.try_spawn(until_woken(second, ended)));
  Wakeup third(shard);
  EXPECT_FALSE(group.try_spawn(until_woken(third, ended)));
  first.wake();
  EXPECT_TRUE(group.try_spawn(until_woken(third, ended)));
  second.wake();
  third.wake();
  EXPECT_EQ(ended, 3);
}

TEST_F(TaskGroupTest, RefusesEverythingOnceClosed) {
  group.close();
  EXPECT_FALSE(group.try_spawn(until_woken(first, ended)));
}

TEST_F(TaskGroupTest, IsWaitedForUntilTheLastTaskHasEnded) {
  group.try_spawn(until_woken(first, ended));
  group.try_spawn(until_woken(second, ended));
  auto waiting = shard.start(group.wait(kNever));
  first.wake();
  shard.poll();
  EXPECT_FALSE(waiting.done());
  second.wake();
  shard.poll();
  EXPECT_TRUE(waiting.get());
}

TEST_F(TaskGroupTest, DestroysWhatStillWaitsWhenItIsDestroyed) {
  const auto hold = [](std::shared_ptr<int> held, Wakeup& wakeup) -> Task<void> {
    co_await wakeup.wait(kNever);
    *held = 1;
  };
  const auto pass_on = [hold](std::shared_ptr<int> held, Wakeup& wakeup) -> Task<void> { co_await hold(held, wakeup); };
  const auto held = std::make_shared<int>(0);
  {
    TaskGroup brief(shard, 2);
    brief.try_spawn(pass_on(held, first));
    brief.try_spawn(hold(held, second));
    second.wake();
    EXPECT_EQ(brief.running(), 1u);
    EXPECT_GT(held.use_count(), 1);
  }
  EXPECT_EQ(held.use_count(), 1) << "the group destroyed the frames, the inner ones first";
}

TEST_F(TaskGroupTest, TellsItsEndWithoutMemory) {
  group.try_spawn(until_woken(first, ended));
  auto waiting = shard.start(group.wait(kNever));
  {
    const test::FailingMemory none(0);
    first.wake();
    EXPECT_EQ(none.failed(), 0u);
  }
  shard.poll();
  EXPECT_TRUE(waiting.get());
}

TEST_F(TaskGroupTest, MayEndWhileTheNewsOfItsEndIsOnItsWay) {
  {
    TaskGroup brief(shard, 1);
    brief.try_spawn(until_woken(first, ended));
    first.wake();
  }
  shard.poll();
  EXPECT_EQ(ended, 1);
}

TEST_F(TaskGroupTest, IsWaitedForUntilTheDeadlineAtMost) {
  group.try_spawn(until_woken(first, ended));
  auto waiting = shard.start(group.wait(shard.now() + seconds(1)));
  shard.advance(seconds(1));
  EXPECT_FALSE(waiting.get());
  first.wake();
}

TEST_F(TaskGroupTest, EndsTheWaitAtOnceWhenItIsEmpty) { EXPECT_TRUE(shard.run(group.wait(kNever))); }

TEST_F(TaskGroupTest, BearsATaskThatFindsNoMemory) {
  const auto find_none = [](Wakeup& wakeup) -> Task<void> {
    co_await wakeup.wait(kNever);
    throw std::bad_alloc();
  };
  EXPECT_TRUE(group.try_spawn(find_none(first)));
  first.wake();
  EXPECT_EQ(group.failed(), 1u);
  EXPECT_TRUE(shard.run(group.wait(kNever)));
}

TEST_F(TaskGroupTest, CountsATaskThatAnExceptionEndedAndGoesOn) {
  EXPECT_TRUE(group.try_spawn(fail()));
  EXPECT_EQ(group.failed(), 1u);
  EXPECT_EQ(group.running(), 0u);
  EXPECT_TRUE(shard.run(group.wait(kNever)));
}

}  // namespace
}  // namespace router::runtime

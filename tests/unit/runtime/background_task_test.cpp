#include "router/runtime/background_task.h"

#include <gtest/gtest.h>

#include <new>
#include <stdexcept>
#include <vector>

#include "tests/support/test_shard.h"

namespace router::runtime {
namespace {

using std::chrono::seconds;
using test::TestShard;

TEST(Cancellation, WakesWhoeverWaitsThereFromTheLoop) {
  TestShard shard;
  const auto source = CancelSource::make(shard);
  const auto wait = [](std::shared_ptr<CancelSource> cancellation) -> Task<bool> {
    co_return co_await cancellation->wakeup().wait(kNever);
  };
  const auto waiting = shard.start(wait(source));
  source->cancel();
  EXPECT_TRUE(source->cancelled());
  EXPECT_FALSE(waiting.done()) << "`cancel` must not resume a coroutine itself: its caller may be one";
  shard.poll();
  ASSERT_TRUE(waiting.done());
  EXPECT_TRUE(waiting.peek());
  source->cancel();
  shard.poll();
}

TEST(Cancellation, LivesUntilItHasWoken) {
  TestShard shard;
  auto source = CancelSource::make(shard);
  const std::weak_ptr<CancelSource> watched = source;
  source->cancel();
  source.reset();
  EXPECT_FALSE(watched.expired());
  shard.poll();
  EXPECT_TRUE(watched.expired());
}

struct Steps final : BackgroundTask {
  Steps(Shard& shard, std::vector<int>& into)
      : BackgroundTask(shard, {"memory is short: steps are taken later"}), taken(into) {}
  ~Steps() override { taken.push_back(-1); }

  Task<void> run() override {
    if (++runs == fails_until) co_return;
    if (runs < fails_until) throw std::bad_alloc();
    const auto step = [this]() -> Task<Deadline> {
      taken.push_back(++steps);
      if (steps == 2) throw std::runtime_error("the second step fails");
      co_return now() + seconds(10);
    };
    co_await repeat("a step failed", step, [this] { return now() + seconds(3); });
  }

  std::vector<int>& taken;
  int runs = 0;
  int fails_until = 0;
  int steps = 0;
};

class BackgroundTaskTest : public ::testing::Test {
 protected:
  TestShard shard;
  TaskGroup group{shard, 1};
  std::vector<int> taken;
  std::shared_ptr<Steps> task = std::make_shared<Steps>(shard, taken);
};

TEST_F(BackgroundTaskTest, BeginsFromTheLoopAndTakesStepsUntilItIsCancelled) {
  task->begin(group);
  EXPECT_TRUE(taken.empty());
  shard.poll();
  EXPECT_EQ(taken, (std::vector<int>{1}));
  shard.advance(seconds(10));
  EXPECT_EQ(taken, (std::vector<int>{1, 2})) << "the second step fails";
  shard.advance(seconds(2));
  EXPECT_EQ(taken.size(), 2U);
  shard.advance(seconds(1));
  EXPECT_EQ(taken, (std::vector<int>{1, 2, 3}));
  task->cancel();
  task.reset();
  EXPECT_EQ(group.running(), 1U);
  shard.poll();
  EXPECT_EQ(group.running(), 0U);
  EXPECT_EQ(taken.back(), -1) << "the task is destroyed when its coroutine ends";
}

TEST_F(BackgroundTaskTest, DoesNotBeginIfItIsCancelledBefore) {
  task->begin(group);
  task->cancel();
  shard.poll();
  EXPECT_TRUE(taken.empty());
  EXPECT_EQ(group.running(), 0U);
}

TEST_F(BackgroundTaskTest, BeginsAgainASecondAfterMemoryWasShort) {
  task->fails_until = 3;
  task->begin(group);
  shard.poll();
  EXPECT_EQ(task->runs, 1);
  shard.advance(seconds(1));
  EXPECT_EQ(task->runs, 2);
  shard.advance(seconds(1));
  EXPECT_EQ(task->runs, 3) << "the third run ends without an error";
  shard.advance(seconds(10));
  EXPECT_EQ(task->runs, 3);
}

TEST_F(BackgroundTaskTest, BeginsAgainASecondAfterItsGroupWasFull) {
  const auto other = std::make_shared<Steps>(shard, taken);
  other->begin(group);
  task->begin(group);
  shard.poll();
  EXPECT_EQ(task->runs, 0);
  other->cancel();
  shard.poll();
  shard.advance(seconds(1));
  EXPECT_EQ(task->runs, 1);
  task->cancel();
  shard.poll();
}

}  // namespace
}  // namespace router::runtime

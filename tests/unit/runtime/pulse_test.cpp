#include "router/runtime/pulse.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "tests/support/failing_memory.h"
#include "tests/support/test_shard.h"

namespace router::runtime {
namespace {

class PulseTest : public ::testing::Test {
 protected:
  PulseTest() { shards.start(); }
  ~PulseTest() override {
    free_ = true;
    shards.join();
  }
  /// Keeps a shard busy until `free_` is set.
  void plant_a_spin(std::size_t index) {
    std::promise<void> begun;
    shards[index].post([this, &begun] {
      begun.set_value();
      while (!free_) std::this_thread::yield();
    });
    begun.get_future().wait();
  }
  /// Advances half a second, and waits until the shard `answers` has answered the earlier messages.
  void pass(std::size_t answers) {
    {
      const test::FailingMemory none(0);  // only the log line would allocate, and it does without
      control.advance(Pulse::kEvery);
    }
    settle(answers);
  }
  void settle(std::size_t index) {
    std::promise<void> turned;
    shards[index].post([&] { turned.set_value(); });
    turned.get_future().wait();
    control.poll();
  }

  const SteadyClock clock;
  std::atomic<bool> free_{false};
  test::TestShard control;
  ShardSet shards{2, clock};
  Pulse pulse{control, shards};
};

TEST_F(PulseTest, NamesAShardThatHasNotTurnedForFiveSecondsUntilItTurnsAgain) {
  pulse.start();
  settle(0);
  settle(1);
  plant_a_spin(1);
  for (int i = 0; i <= 10; ++i) {
    EXPECT_TRUE(pulse.hanging().empty());
    pass(0);
  }
  ASSERT_EQ(pulse.hanging().size(), 1u);
  EXPECT_EQ(pulse.hanging().front().shard, 1u);
  EXPECT_GE(pulse.hanging().front().since, Pulse::kHangs);
  free_ = true;
  settle(1);
  EXPECT_TRUE(pulse.hanging().empty());
  for (int i = 0; i < 20; ++i) {
    pass(0);
    settle(1);
    EXPECT_TRUE(pulse.hanging().empty());
  }
}

TEST_F(PulseTest, DoesNotCountTheTimeInWhichTheWholeProcessStoodStill) {
  pulse.start();
  control.clock().advance(std::chrono::minutes(1));
  control.shard().advance_timers();  // before the shards have had time to answer
  EXPECT_TRUE(pulse.hanging().empty());
}

}  // namespace
}  // namespace router::runtime

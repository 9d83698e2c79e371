#include "router/dispatch/pace.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>

#include "router/dispatch/request_queue.h"
#include "tests/unit/dispatch/queue_world.h"

namespace router::dispatch {
namespace {

using namespace std::chrono_literals;
using test::TestShard;

struct PaceTest : testing::Test {
  void hold(Duration each, std::size_t times = Pace::kKnownAfter) {
    for (std::size_t count = 0; count < times; ++count) pace.held_for(each, now);
  }
  Pace pace;
  TimePoint now{1h};
};

TEST_F(PaceTest, IsUnknownUntilEnoughExchangesHaveEnded) {
  hold(50ms, Pace::kKnownAfter - 1);
  EXPECT_EQ(pace.expected_wait(1, 1, now), std::nullopt);
  hold(50ms, 1);
  EXPECT_EQ(pace.held_on_average(now), Duration(50ms));
}

TEST_F(PaceTest, ComputesTheWaitFromPositionsAndSlots) {
  hold(100ms);
  EXPECT_EQ(pace.expected_wait(10, 1, now), Duration(1s));
  EXPECT_EQ(pace.expected_wait(10, 5, now), Duration(200ms));
  EXPECT_EQ(pace.expected_wait(10, 0, now), std::nullopt);
  EXPECT_EQ(pace.shortest_wait(4, 1, now), Duration(0ms)) << "with so few exchanges, all may be short";
  EXPECT_EQ(pace.shortest_wait(100, 1, now), Duration(8s)) << "two standard deviations less than 10 s";
}

TEST_F(PaceTest, FollowsAChange) {
  hold(100ms, 100);
  hold(10ms, 300);
  EXPECT_LT(*pace.held_on_average(now), Duration(12ms));
}

TEST_F(PaceTest, IsForgottenAfterAMinuteWithoutExchanges) {
  hold(100ms, 100);
  now += Pace::kForgotten;
  EXPECT_TRUE(pace.held_on_average(now));
  now += 1ms;
  EXPECT_FALSE(pace.held_on_average(now));
  hold(10ms, Pace::kKnownAfter);
  EXPECT_EQ(pace.held_on_average(now), Duration(10ms)) << "exchanges before the pause do not count any more";
}

TEST_F(PaceTest, IsKeptForLongExchanges) {
  hold(100s);
  now += 399s;
  EXPECT_TRUE(pace.held_on_average(now));
}

/// One replica with one slot that is held for 100 ms each time.
struct PatienceTest : testing::Test {
  void learn(std::size_t times = Pace::kKnownAfter) {
    for (std::size_t count = 0; count < times; ++count) {
      Visitor visitor(*queue, shard);
      shard.clock().advance(100ms);
    }
  }
  TestShard shard{0};
  const std::shared_ptr<Replica> pod = make_replica(1);
  const std::shared_ptr<RequestQueue> queue = make_queue({pod}, 1000, shard.clock());
};

TEST_F(PatienceTest, WhoWouldWaitInVainIsRefusedAtOnce) {
  learn();
  const Visitor running(*queue, shard);
  std::vector<std::unique_ptr<Visitor>> waiting;
  while (waiting.size() < 99) waiting.push_back(std::make_unique<Visitor>(*queue, shard));
  EXPECT_EQ(Visitor(*queue, shard, shard.now() + 7s).refused, Reason::kDeadlineUnmeetable);
  EXPECT_TRUE(Visitor(*queue, shard, shard.now() + 9s).waits()) << "the wait may be shorter than the average";
  EXPECT_EQ(queue->expected_wait(), Duration(10s));
}

TEST_F(PatienceTest, NobodyIsRefusedForAWaitThatIsNotKnown) {
  learn(Pace::kKnownAfter - 1);
  const Visitor running(*queue, shard);
  std::vector<std::unique_ptr<Visitor>> waiting;
  while (waiting.size() < 99) waiting.push_back(std::make_unique<Visitor>(*queue, shard));
  EXPECT_TRUE(Visitor(*queue, shard, shard.now() + 1ms).waits());
  EXPECT_EQ(queue->expected_wait(), std::nullopt);
}

TEST_F(PatienceTest, WithoutAServingReplicaTheWaitIsNotKnown) {
  learn();
  queue->set_ready(pod, false);
  std::vector<std::unique_ptr<Visitor>> waiting;
  while (waiting.size() < 99) waiting.push_back(std::make_unique<Visitor>(*queue, shard));
  EXPECT_TRUE(Visitor(*queue, shard, shard.now() + 1ms).waits());
}

TEST_F(PatienceTest, AFreeSlotIsTakenWhateverThePatience) {
  learn();
  EXPECT_TRUE(Visitor(*queue, shard, shard.now()).entry.held_slot);
}

TEST_F(PatienceTest, FailedConnectionsDoNotMakeTheQueueLookFast) {
  learn();
  for (int count = 0; count < 1000; ++count) {
    Visitor visitor(*queue, shard);
    visitor.entry.held_slot.report().outcome = ReplicaReport::Outcome::kFailed;
  }
  const Visitor running(*queue, shard);
  EXPECT_EQ(queue->expected_wait(), Duration(100ms));
}

}  // namespace
}  // namespace router::dispatch

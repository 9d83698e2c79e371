#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <vector>

#include "router/dispatch/request_queue.h"
#include "tests/unit/dispatch/queue_world.h"

namespace router::dispatch {
namespace {

using namespace std::chrono_literals;
using test::TestShard;

/// Exchanges that could not reach their replica return to their position in the queue.
struct QueuePositionTest : testing::Test {
  /// Takes a slot and gives it back, as an exchange does after a refused connection.
  QueuePosition refused_by(RequestQueue& queue) {
    Visitor visitor(queue, shard);
    EXPECT_TRUE(visitor.entry.held_slot);
    QueuePosition position = visitor.entry.held_slot.position();
    visitor.entry.held_slot.give_back();
    return position;
  }

  TestShard shard{0};
  const std::shared_ptr<Replica> first = make_replica(1, "first:1");
  const std::shared_ptr<Replica> second = make_replica(1, "second:1");
};

TEST_F(QueuePositionTest, AvoidsTheReplicaWhileAnotherHasASlot) {
  const std::shared_ptr<RequestQueue> queue = make_queue({first, second});
  for (int round = 0; round < 20; ++round) {
    const QueuePosition position = refused_by(*queue);
    const Visitor again(*queue, shard, kNever, position);
    ASSERT_TRUE(again.entry.held_slot);
    EXPECT_NE(&again.entry.held_slot.replica(), position.avoided.get());
    EXPECT_EQ(again.entry.held_slot.ticket(), position.ticket);
  }
}

TEST_F(QueuePositionTest, WaitsForAnotherThatServesRatherThanTakeTheAvoidedOne) {
  const std::shared_ptr<RequestQueue> queue = make_queue({first});
  const QueuePosition position = refused_by(*queue);
  queue->set_replicas({first, second});
  queue->set_ready(second, true);
  Visitor takes_one(*queue, shard);
  Visitor takes_other(*queue, shard);
  HeldSlot& of_second =
      &takes_one.entry.held_slot.replica() == second.get() ? takes_one.entry.held_slot : takes_other.entry.held_slot;
  HeldSlot& of_first =
      &takes_one.entry.held_slot.replica() == second.get() ? takes_other.entry.held_slot : takes_one.entry.held_slot;
  const Visitor again(*queue, shard, kNever, position);
  ASSERT_TRUE(again.waits());
  of_first.give_back();
  EXPECT_FALSE(*again.poll()) << "the avoided replica is free, the other one is ready but busy";
  of_second.give_back();
  const Result<HeldSlot> held_slot = again.poll();
  ASSERT_TRUE(*held_slot);
  EXPECT_EQ(&held_slot->replica(), second.get());
}

TEST_F(QueuePositionTest, OthersMayHaveTheSlotThatItAvoids) {
  const std::shared_ptr<RequestQueue> queue = make_queue({first, second});
  Visitor one(*queue, shard);
  Visitor other(*queue, shard);
  HeldSlot& of_first = &one.entry.held_slot.replica() == first.get() ? one.entry.held_slot : other.entry.held_slot;
  const Visitor avoids(*queue, shard, kNever, QueuePosition{1, first});
  const Visitor newcomer(*queue, shard);
  ASSERT_TRUE(avoids.waits() && newcomer.waits());
  of_first.give_back();
  EXPECT_FALSE(*avoids.poll());
  EXPECT_TRUE(*newcomer.poll());
}

TEST_F(QueuePositionTest, TakesTheAvoidedReplicaIfNoOtherServes) {
  const std::shared_ptr<RequestQueue> queue = make_queue({first});
  const QueuePosition position = refused_by(*queue);
  EXPECT_TRUE(Visitor(*queue, shard, kNever, position).entry.held_slot);
  queue->set_replicas({first, second});  // the second one is not ready
  EXPECT_TRUE(Visitor(*queue, shard, kNever, position).entry.held_slot);
}

TEST_F(QueuePositionTest, TakesTheAvoidedReplicaOnceTheOtherIsGone) {
  const std::shared_ptr<RequestQueue> queue = make_queue({first, second});
  Visitor one(*queue, shard);
  Visitor other(*queue, shard);
  const Visitor avoids(*queue, shard, kNever, QueuePosition{1, first});
  one.entry.held_slot.give_back();
  other.entry.held_slot.give_back();
  const Result<HeldSlot> of_second = avoids.poll();
  ASSERT_EQ(&of_second->replica(), second.get());
  const Visitor waits(*queue, shard, kNever, QueuePosition{2, first});
  EXPECT_TRUE(waits.waits());
  queue->set_ready(second, false);
  const Result<HeldSlot> held_slot = waits.poll();
  ASSERT_TRUE(*held_slot);
  EXPECT_EQ(&held_slot->replica(), first.get());
}

TEST_F(QueuePositionTest, IsServedBeforeLaterRequests) {
  const std::shared_ptr<RequestQueue> queue = make_queue({first});
  const QueuePosition position = refused_by(*queue);
  Visitor running(*queue, shard);
  const Visitor later(*queue, shard);
  const Visitor again(*queue, shard, kNever, position);
  ASSERT_TRUE(later.waits() && again.waits());
  running.entry.held_slot.give_back();
  EXPECT_FALSE(*later.poll());
  EXPECT_TRUE(*again.poll());
}

TEST_F(QueuePositionTest, IsKeptInAFullQueue) {
  const std::shared_ptr<RequestQueue> queue = make_queue({first}, 1);
  const QueuePosition position = refused_by(*queue);
  Visitor running(*queue, shard);
  const Visitor waiting(*queue, shard);
  EXPECT_EQ(Visitor(*queue, shard).refused, Reason::kQueueFull);
  EXPECT_TRUE(Visitor(*queue, shard, kNever, position).waits());
}

TEST_F(QueuePositionTest, IdleWorkTakesASlotOnlyIfNobodyWaits) {
  const std::shared_ptr<RequestQueue> queue = make_queue({first});
  HeldSlot idle = queue->take_idle(shard);
  EXPECT_TRUE(idle);
  EXPECT_FALSE(queue->take_idle(shard)) << "no slot is free";
  idle.give_back();
  queue->set_replicas({first, second});
  queue->set_ready(second, true);
  Visitor one(*queue, shard);
  Visitor other(*queue, shard);
  const Visitor avoids(*queue, shard, kNever, QueuePosition{1, first});
  HeldSlot& of_first = &one.entry.held_slot.replica() == first.get() ? one.entry.held_slot : other.entry.held_slot;
  of_first.give_back();
  ASSERT_TRUE(avoids.waits());
  EXPECT_FALSE(queue->take_idle(shard)) << "an exchange waits";
}

TEST(RetryBudget, AllowsAFifthOfTheRequestsOfTheLastTenSeconds) {
  RetryBudget budget;
  TimePoint now{1h};
  EXPECT_FALSE(budget.take(now)) << "no request has come yet";
  for (int request = 0; request < 50; ++request) budget.count_request(now);
  for (int retry = 0; retry < 10; ++retry) EXPECT_TRUE(budget.take(now));
  EXPECT_FALSE(budget.take(now));
  budget.count_request(now);
  EXPECT_TRUE(budget.take(now)) << "rounded up";
  EXPECT_FALSE(budget.take(now));
  now += 9s;
  EXPECT_FALSE(budget.take(now));
  now += 1s;
  EXPECT_FALSE(budget.take(now)) << "requests and their retries expire together";
  budget.count_request(now);
  EXPECT_TRUE(budget.take(now));
  EXPECT_FALSE(budget.take(now));
}

TEST(RetryBudget, IsSlidingSecondBySecond) {
  RetryBudget budget;
  TimePoint now{1h};
  for (int second = 0; second < 20; ++second, now += 1s) {
    for (int request = 0; request < 10; ++request) budget.count_request(now);
    EXPECT_TRUE(budget.take(now));
    EXPECT_TRUE(budget.take(now));
    EXPECT_FALSE(budget.take(now)) << "second " << second;
  }
  now += 1h;
  budget.count_request(now);
  budget.count_request(now - 2s);  // from a shard that read the clock earlier
  EXPECT_TRUE(budget.take(now));
  EXPECT_FALSE(budget.take(now));
}

}  // namespace
}  // namespace router::dispatch

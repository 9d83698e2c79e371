#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include "tests/unit/dispatch/request_queue_test.h"

// Requests that are held for a first replica.
namespace router::dispatch {
namespace {

struct WakingTest : RequestQueueTest {
  WakingTest() { queue->set_options({.length_max = 1, .waking_max = 3}); }
  void wake(Duration pod_start = 30s) { queue->set_waking(Awakening{pod_start, {}}); }
  void set_up(const std::shared_ptr<Replica>& first) {
    queue->set_replicas({first});
    queue->set_ready(first, true);
  }
  std::size_t waking() const { return queue->demand().waking; }

  int notices = 0;
  const std::shared_ptr<RequestQueue> queue =
      make_queue(1, shard.clock(), std::make_shared<TestWatcher>([this] { ++notices; }));
};

TEST_F(WakingTest, HoldsNothingUntilItIsToldTo) {
  EXPECT_FALSE(queue->wakes());
  EXPECT_EQ(Visitor(*queue, shard).refused, Reason::kNoReadyReplica);
  EXPECT_FALSE(queue->start_left());
  EXPECT_EQ(notices, 0);
  wake();
  EXPECT_TRUE(queue->wakes());
  const Visitor held(*queue, shard);
  EXPECT_TRUE(held.waits() && held.entry.waiting.waking());
  queue->set_waking(std::nullopt);
  EXPECT_FALSE(queue->wakes());
  EXPECT_EQ(Visitor(*queue, shard).refused, Reason::kNoReadyReplica);
  EXPECT_EQ(waking(), 1u) << "what is held stays";
}

TEST_F(WakingTest, HoldsWhileReplicasAreThereButNoneIsReady) {
  const std::shared_ptr<Replica> replica = make_replica(1);
  queue->set_replicas({replica});
  wake();
  const Visitor held(*queue, shard);
  EXPECT_TRUE(held.entry.waiting.waking());
  queue->set_ready(replica, true);
  EXPECT_TRUE(*held.poll());
}

TEST_F(WakingTest, HoldsNothingWhileAReplicaIsReady) {
  set_up(make_replica(1));
  wake();
  EXPECT_FALSE(queue->wakes());
  const Visitor served(*queue, shard);
  ASSERT_TRUE(served.entry.held_slot);
  const Visitor waits(*queue, shard);
  EXPECT_TRUE(waits.waits() && !waits.entry.waiting.waking());
  EXPECT_EQ(Visitor(*queue, shard).refused, Reason::kQueueFull);
  EXPECT_EQ(notices, 1) << "of the replicas alone";
  EXPECT_FALSE(queue->take_wake());
}

TEST_F(WakingTest, HoldsOnlySoMany) {
  wake();
  const Visitor first(*queue, shard);
  const Visitor second(*queue, other);
  const Visitor third(*queue, shard);
  EXPECT_EQ(waking(), 3u) << "not limited by the queue's length";
  EXPECT_EQ(Visitor(*queue, shard).refused, Reason::kWaking);
  second.leave();
  EXPECT_EQ(waking(), 2u);
  const Visitor fourth(*queue, shard);
  EXPECT_TRUE(fourth.waits());
  EXPECT_EQ(queue->demand().waiting, 0u);
}

TEST_F(WakingTest, ServesThemInOrderOfArrivalWithinTheSlots) {
  wake();
  const Visitor first(*queue, shard);
  shard.advance(2s);
  const Visitor second(*queue, other);
  const Visitor earlier(*queue, shard, kNever, {0, nullptr, shard.now() - 1s});
  set_up(make_replica(2));
  EXPECT_EQ(waking(), 1u);
  const Result<HeldSlot> slot_of_first = first.poll();
  Result<HeldSlot> slot_of_earlier = earlier.poll();
  EXPECT_TRUE(*slot_of_first && *slot_of_earlier);
  EXPECT_FALSE(*second.poll());
  slot_of_earlier->give_back();
  EXPECT_TRUE(*second.poll());
  EXPECT_EQ(waking(), 0u);
}

TEST_F(WakingTest, LeavesTheQueuesLengthToThoseThatComeLater) {
  wake();
  const Visitor first(*queue, shard);
  const Visitor second(*queue, shard);
  const Visitor third(*queue, shard);
  set_up(make_replica(1));
  EXPECT_EQ(waking(), 2u);
  const Visitor later(*queue, shard);
  EXPECT_TRUE(later.waits() && !later.entry.waiting.waking());
  EXPECT_EQ(queue->demand().waiting, 1u);
  EXPECT_EQ(Visitor(*queue, shard).refused, Reason::kQueueFull);
  const QueuePosition sent_on{0, nullptr, shard.now() - 1s};
  const Visitor before_it(*queue, shard, kNever, sent_on);
  EXPECT_TRUE(before_it.waits()) << "only the held ones and nobody else came before it";
}

TEST_F(WakingTest, RefusesNoneBecauseItsDeadlineIsNear) {
  set_up(make_replica(1));
  for (int exchange = 0; exchange < 20; ++exchange) {  // the pace is known: a second each
    HeldSlot slot = take_slot(queue);
    shard.advance(1s);
    slot.report().outcome = ReplicaReport::Outcome::kSucceeded;
  }
  queue->set_replicas({});
  wake();
  const Visitor first(*queue, shard, shard.now() + 1ms);
  const Visitor second(*queue, shard, shard.now() + 1ms);
  EXPECT_TRUE(first.waits() && second.waits());
}

TEST_F(WakingTest, ARequestThatComesBackIsHeldAgain) {
  wake();
  const Visitor held(*queue, shard);
  const std::shared_ptr<Replica> replica = make_replica(1);
  set_up(replica);
  Result<HeldSlot> slot = held.poll();
  ASSERT_TRUE(*slot);
  QueuePosition position = slot->position();
  position.avoided = nullptr;
  position.waking = true;
  const Visitor other_waits(*queue, shard);
  queue->set_ready(replica, false);
  slot->give_back();
  const Visitor again(*queue, shard, kNever, position);
  EXPECT_TRUE(again.entry.waiting.waking());
  queue->set_waking(std::nullopt);
  queue->set_ready(replica, true);
  const Result<HeldSlot> slot_again = again.poll();
  EXPECT_TRUE(*slot_again) << "before the other one, which came later";
  EXPECT_FALSE(*other_waits.poll());
}

TEST_F(WakingTest, TellsWhenTheReplicaIsToBeExpected) {
  wake(30s);
  shard.advance(10s);
  EXPECT_EQ(queue->start_left(), Duration(30s)) << "the start has not begun";
  queue->set_waking(Awakening{30s, shard.now()});
  shard.advance(12s);
  EXPECT_EQ(queue->start_left(), Duration(18s));
  shard.advance(20s);
  EXPECT_EQ(queue->start_left(), Duration(0s));
}

TEST_F(WakingTest, TellsControlOnceThatTheFirstOneHasCome) {
  wake();
  {
    const Visitor first(*queue, shard);
    EXPECT_EQ(notices, 1);
    const Visitor second(*queue, shard);
    EXPECT_EQ(notices, 1);
    queue->begin_look();
    EXPECT_TRUE(queue->take_wake());
    EXPECT_FALSE(queue->take_wake());
    const Visitor third(*queue, shard);
    EXPECT_EQ(notices, 1) << "others wait already";
  }
  const Visitor after_all_have_left(*queue, shard);
  EXPECT_EQ(notices, 2);
  EXPECT_TRUE(queue->take_wake());
}

TEST_F(WakingTest, ARequestThatMayNotBeHeldWakesToo) {
  queue->set_options({.length_max = 1, .waking_max = 0});
  wake();
  EXPECT_EQ(Visitor(*queue, shard).refused, Reason::kWaking);
  EXPECT_EQ(notices, 1);
  EXPECT_TRUE(queue->take_wake());
}

TEST_F(WakingTest, ACopyNeitherWaitsNorWakes) {
  wake();
  EXPECT_FALSE(queue->take_idle(shard));
  EXPECT_EQ(notices, 0);
  EXPECT_FALSE(queue->take_wake());
}

TEST_F(WakingTest, ThoseThatAreHeldGoWithTheHome) {
  wake();
  const Visitor held(*queue, shard);
  queue->set_home(false);
  const Result<HeldSlot> moved = held.poll();
  ASSERT_FALSE(moved);
  EXPECT_EQ(moved.error().reason, Reason::kHomeMoved);
  EXPECT_EQ(waking(), 0u);
  EXPECT_TRUE(queue->wakes()) << "as this router knows it";
  queue->close();
  EXPECT_FALSE(queue->wakes());
}

TEST_F(WakingTest, IsNoPartOfTheWaitingThatIsCounted) {
  queue->set_counting(true);
  wake();
  const Visitor held(*queue, shard);
  shard.advance(10s);
  set_up(make_replica(1));
  const Visitor later(*queue, shard);
  shard.advance(2s);
  const QueueIntegrals counted = queue->integrals();
  EXPECT_EQ(counted.busy, 2);
  EXPECT_EQ(counted.waiting, 2) << "of the later one alone";
}

}  // namespace
}  // namespace router::dispatch

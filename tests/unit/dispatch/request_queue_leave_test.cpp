#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <utility>

#include "tests/unit/dispatch/request_queue_test.h"

// Exchanges that leave while a grant is on its way, and objects that a held slot outlives.
namespace router::dispatch {
namespace {

TEST_F(RequestQueueTest, PassesTheSlotOnWhenAGrantedWaiterLeaves) {
  const std::shared_ptr<RequestQueue> queue = make_queue({make_replica(1)});
  HeldSlot running = take_slot(queue);
  const Visitor first(*queue, shard);
  Started second = start(queue, other);
  running.give_back();  // the grant for the first one is on its way
  EXPECT_TRUE(first.leave().replica_was_ready);
  other.poll();
  ASSERT_TRUE(second.done());
  shard.poll();  // the stale notice arrives and changes nothing
  EXPECT_EQ(first.poll().error().reason, Reason::kInternal);
  EXPECT_EQ(queue->demand().slots_in_use, 1u);
}

TEST_F(RequestQueueTest, DoesNotTouchAWakeupAfterLeave) {
  const std::shared_ptr<RequestQueue> queue = make_queue({make_replica(1)});
  HeldSlot running = take_slot(queue);
  auto visitor = std::make_unique<Visitor>(*queue, shard);
  running.give_back();
  visitor->leave();
  visitor.reset();  // AddressSanitizer would report a use of the wakeup
  shard.poll();
  EXPECT_EQ(queue->demand().slots_in_use, 0u);
}

TEST_F(RequestQueueTest, DoesNotTouchAWakeupAfterTheSlotWasTaken) {
  const std::shared_ptr<RequestQueue> queue = make_queue({make_replica(1)});
  HeldSlot running = take_slot(queue);
  auto wakeup = std::make_unique<runtime::Wakeup>(shard);
  Waiting waiting = std::move(queue->enter(*wakeup)->waiting);
  running.give_back();
  shard.poll();
  HeldSlot taken = waiting.poll().value();
  ASSERT_TRUE(taken);
  wakeup.reset();  // the handle still exists
  shard.poll();
  EXPECT_EQ(queue->demand().slots_in_use, 1u);
  EXPECT_EQ(waiting.poll().error().reason, Reason::kInternal) << "a slot is handed out once";
  taken.give_back();
  EXPECT_EQ(queue->demand().slots_in_use, 0u);
}

TEST_F(RequestQueueTest, TakesADroppedHandleForLeaving) {
  const std::shared_ptr<RequestQueue> queue = make_queue({make_replica(1)});
  HeldSlot running = take_slot(queue);
  auto first = std::make_unique<Visitor>(*queue, shard);
  auto second = std::make_unique<Visitor>(*queue, shard);
  Started third = start(queue, other);
  first.reset();  // while it waits
  running.give_back();
  second.reset();  // after its grant
  EXPECT_EQ(queue->demand().waiting, 0u);
  other.poll();
  EXPECT_TRUE(third.done());
  shard.poll();
}

TEST_F(RequestQueueTest, GivesBackTheSlotOfAGrantWhoseShardIsGone) {
  const std::shared_ptr<RequestQueue> queue = make_queue({make_replica(1)});
  HeldSlot running = take_slot(queue);
  ManualClock clock;
  auto doomed = std::make_unique<runtime::Shard>(7, clock, runtime::Shard::Time::kManual);
  auto visitor = std::make_unique<Visitor>(*queue, *doomed);
  Started next = start(queue);
  running.give_back();
  shard.poll();
  EXPECT_FALSE(next.done());
  doomed.reset();  // while the grant is on its way
  shard.poll();
  EXPECT_TRUE(next.done());
  visitor.reset();
  EXPECT_EQ(queue->demand().slots_in_use, 1u);
}

#ifdef ROUTER_CHECKS
TEST_F(RequestQueueTest, TakesItsMutexOnceToEnterAndNotAtAllToTakeTheSlotAndToEnd) {
  const std::shared_ptr<RequestQueue> queue = make_queue({make_replica(1)});
  HeldSlot running = take_slot(queue);
  std::size_t before = queue->locks();
  auto visitor = std::make_unique<Visitor>(*queue, shard);
  ASSERT_TRUE(visitor->waits());
  EXPECT_EQ(queue->locks() - before, 1u) << "to enter";
  running.give_back();
  before = queue->locks();
  Result<HeldSlot> polled = visitor->poll();
  HeldSlot granted = std::move(*polled);
  ASSERT_TRUE(granted);
  visitor.reset();
  EXPECT_EQ(queue->locks() - before, 0u) << "to take the slot, and to end";
  granted.give_back();
  EXPECT_EQ(queue->locks() - before, 1u) << "to give back";
}

TEST_F(RequestQueueTest, TakesItsMutexToLeaveOnlyWhileItWaits) {
  const std::shared_ptr<RequestQueue> queue = make_queue({make_replica(1)});
  HeldSlot running = take_slot(queue);
  const Visitor waits(*queue, shard);
  const Visitor is_granted(*queue, shard);
  std::size_t before = queue->locks();
  waits.leave();
  EXPECT_EQ(queue->locks() - before, 1u);
  running.give_back();
  shard.poll();
  before = queue->locks();
  const Parting parting = is_granted.leave();
  EXPECT_EQ(queue->locks() - before, 0u);
  EXPECT_TRUE(parting.held_slot) << "the slot had arrived";
}
#endif

TEST_F(RequestQueueTest, HandsAGrantOnItsWayToWhoLeavesAtThatMoment) {
  const std::shared_ptr<RequestQueue> queue = make_queue({make_replica(1)});
  HeldSlot running = take_slot(queue);
  Started late = start(queue, shard, 1s);
  running.give_back();
  shard.clock().advance(1s);
  shard.shard().advance_timers();  // the deadline passes before the message arrives
  ASSERT_TRUE(late.done());
  EXPECT_TRUE(late.get().has_value()) << "it has a slot, so it is not refused";
  shard.poll();
  EXPECT_EQ(queue->demand().slots_in_use, 0u);
}

TEST_F(RequestQueueTest, OutlivesItsOwnersWhileASlotIsHeld) {
  std::shared_ptr<RequestQueue> queue = make_queue({make_replica(1)});
  const std::weak_ptr<RequestQueue> watched = queue;
  HeldSlot held = take_slot(queue);
  queue.reset();
  EXPECT_FALSE(watched.expired());
  held.give_back();
  EXPECT_TRUE(watched.expired());
}

TEST_F(RequestQueueTest, MovesAHeldSlotWithoutGivingItBackTwice) {
  const std::shared_ptr<RequestQueue> queue = make_queue({make_replica(2)});
  HeldSlot held = take_slot(queue);
  HeldSlot moved = std::move(held);
  held.give_back();
  EXPECT_EQ(queue->demand().slots_in_use, 1u);
  moved = take_slot(queue);  // the assignment gives the first one back
  EXPECT_EQ(queue->demand().slots_in_use, 1u);
  moved.give_back();
  moved.give_back();
  EXPECT_EQ(queue->demand().slots_in_use, 0u);
}

}  // namespace
}  // namespace router::dispatch

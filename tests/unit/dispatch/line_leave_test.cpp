#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <utility>

#include "tests/unit/dispatch/line_test.h"

// What leaves while a grant is on its way, and what a lease outlives.
namespace router::dispatch {
namespace {

TEST_F(LineTest, PassesTheSlotOnWhenAGrantedWaiterLeaves) {
  const std::shared_ptr<Line> line = make_line({make_replica(1)});
  Lease running = lease(line);
  const Visitor first(*line, shard);
  Started second = start(line, other);
  running.give_back();  // the first one's grant is on its way
  EXPECT_TRUE(first.leave().replica_was_ready);
  other.poll();
  ASSERT_TRUE(second.done());
  shard.poll();  // the stale notice arrives and changes nothing
  EXPECT_EQ(first.poll().error().reason, Reason::kInternal);
  EXPECT_EQ(line->demand().slots_in_use, 1u);
}

TEST_F(LineTest, DoesNotTouchAWakeupAfterLeave) {
  const std::shared_ptr<Line> line = make_line({make_replica(1)});
  Lease running = lease(line);
  auto visitor = std::make_unique<Visitor>(*line, shard);
  running.give_back();
  visitor->leave();
  visitor.reset();  // AddressSanitizer watches the wakeup
  shard.poll();
  EXPECT_EQ(line->demand().slots_in_use, 0u);
}

TEST_F(LineTest, DoesNotTouchAWakeupAfterTheLeaseWasTaken) {
  const std::shared_ptr<Line> line = make_line({make_replica(1)});
  Lease running = lease(line);
  auto wakeup = std::make_unique<runtime::Wakeup>(shard);
  Waiting waiting = std::move(line->enter(*wakeup)->waiting);
  running.give_back();
  shard.poll();
  Lease taken = waiting.poll().value();
  ASSERT_TRUE(taken);
  wakeup.reset();  // the handle lives on
  shard.poll();
  EXPECT_EQ(line->demand().slots_in_use, 1u);
  EXPECT_EQ(waiting.poll().error().reason, Reason::kInternal) << "a lease is handed out once";
  taken.give_back();
  EXPECT_EQ(line->demand().slots_in_use, 0u);
}

TEST_F(LineTest, TakesADroppedHandleForLeaving) {
  const std::shared_ptr<Line> line = make_line({make_replica(1)});
  Lease running = lease(line);
  auto first = std::make_unique<Visitor>(*line, shard);
  auto second = std::make_unique<Visitor>(*line, shard);
  Started third = start(line, other);
  first.reset();  // waits
  running.give_back();
  second.reset();  // granted
  EXPECT_EQ(line->demand().waiting, 0u);
  other.poll();
  EXPECT_TRUE(third.done());
  shard.poll();
}

TEST_F(LineTest, GivesBackTheSlotOfAGrantWhoseShardIsGone) {
  const std::shared_ptr<Line> line = make_line({make_replica(1)});
  Lease running = lease(line);
  ManualClock clock;
  auto doomed = std::make_unique<runtime::Shard>(7, clock, runtime::Shard::Time::kManual);
  auto visitor = std::make_unique<Visitor>(*line, *doomed);
  Started next = start(line);
  running.give_back();
  shard.poll();
  EXPECT_FALSE(next.done());
  doomed.reset();  // with the grant in flight
  shard.poll();
  EXPECT_TRUE(next.done());
  visitor.reset();
  EXPECT_EQ(line->demand().slots_in_use, 1u);
}

#ifdef ROUTER_CHECKS
TEST_F(LineTest, TakesItsMutexOnceToEnterAndNotAtAllToTakeTheLeaseAndToEnd) {
  const std::shared_ptr<Line> line = make_line({make_replica(1)});
  Lease running = lease(line);
  std::size_t before = line->locks();
  auto visitor = std::make_unique<Visitor>(*line, shard);
  ASSERT_TRUE(visitor->waits());
  EXPECT_EQ(line->locks() - before, 1u) << "to enter";
  running.give_back();
  before = line->locks();
  Result<Lease> polled = visitor->poll();
  Lease granted = std::move(*polled);
  ASSERT_TRUE(granted);
  visitor.reset();
  EXPECT_EQ(line->locks() - before, 0u) << "to take the lease, and to end";
  granted.give_back();
  EXPECT_EQ(line->locks() - before, 1u) << "to give back";
}

TEST_F(LineTest, TakesItsMutexToLeaveOnlyWhileItWaits) {
  const std::shared_ptr<Line> line = make_line({make_replica(1)});
  Lease running = lease(line);
  const Visitor waits(*line, shard);
  const Visitor is_granted(*line, shard);
  std::size_t before = line->locks();
  waits.leave();
  EXPECT_EQ(line->locks() - before, 1u);
  running.give_back();
  shard.poll();
  before = line->locks();
  const Parting parting = is_granted.leave();
  EXPECT_EQ(line->locks() - before, 0u);
  EXPECT_TRUE(parting.lease) << "it had arrived";
}
#endif

TEST_F(LineTest, HandsAGrantOnItsWayToWhoLeavesAtThatMoment) {
  const std::shared_ptr<Line> line = make_line({make_replica(1)});
  Lease running = lease(line);
  Started late = start(line, shard, 1s);
  running.give_back();
  shard.clock().advance(1s);
  shard.shard().advance_timers();  // its deadline has come before the message has
  ASSERT_TRUE(late.done());
  EXPECT_TRUE(late.get().has_value()) << "it has its slot: no reason to refuse it";
  shard.poll();
  EXPECT_EQ(line->demand().slots_in_use, 0u);
}

TEST_F(LineTest, OutlivesItsOwnersWhileALeaseIsHeld) {
  std::shared_ptr<Line> line = make_line({make_replica(1)});
  const std::weak_ptr<Line> watched = line;
  Lease held = lease(line);
  line.reset();
  EXPECT_FALSE(watched.expired());
  held.give_back();
  EXPECT_TRUE(watched.expired());
}

TEST_F(LineTest, MovesALeaseWithoutGivingItBackTwice) {
  const std::shared_ptr<Line> line = make_line({make_replica(2)});
  Lease held = lease(line);
  Lease moved = std::move(held);
  held.give_back();
  EXPECT_EQ(line->demand().slots_in_use, 1u);
  moved = lease(line);  // gives the first one back
  EXPECT_EQ(line->demand().slots_in_use, 1u);
  moved.give_back();
  moved.give_back();
  EXPECT_EQ(line->demand().slots_in_use, 0u);
}

}  // namespace
}  // namespace router::dispatch

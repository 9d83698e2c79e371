#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <utility>

#include "router/dispatch/namespace_home.h"
#include "tests/unit/dispatch/request_queue_test.h"

// A queue whose home is another router, and requests that another router has sent on.
namespace router::dispatch {
namespace {

struct HomeTest : RequestQueueTest {
  const std::shared_ptr<Replica> replica = make_replica(1);
  const std::shared_ptr<RequestQueue> queue = make_queue({replica}, 4, shard.clock());
};

Reason failure_of(const Result<HeldSlot>& result) { return result ? Reason::kNone : result.error().reason; }

TEST_F(HomeTest, SendsWaitersAndNewcomersAwayWhenItMoves) {
  HeldSlot running = take_slot(queue);
  const Visitor waits(*queue, shard);
  queue->set_home(false);
  EXPECT_EQ(failure_of(waits.poll()), Reason::kHomeMoved);
  EXPECT_EQ(Visitor(*queue, shard).refused, Reason::kHomeMoved);
  EXPECT_EQ(queue->demand().waiting, 0u);
  EXPECT_EQ(queue->demand().slots_in_use, 1u) << "what runs goes on";
  const QueuePosition position = running.position();
  running.give_back();
  EXPECT_EQ(Visitor(*queue, shard, kNever, position).refused, Reason::kHomeMoved) << "also one that comes back";
  EXPECT_EQ(Visitor(*queue, shard).refused, Reason::kHomeMoved) << "although a slot is free";
  EXPECT_FALSE(queue->take_idle(shard));
}

TEST_F(HomeTest, ServesAgainWhenItIsBack) {
  queue->set_home(false);
  queue->set_home(true);
  HeldSlot running = take_slot(queue);
  const Visitor waits(*queue, shard);
  EXPECT_TRUE(waits.waits());
  running.give_back();
  EXPECT_TRUE(*waits.poll());
}

TEST_F(HomeTest, DoesNotOpenAQueueThatWasClosed) {
  queue->close();
  queue->set_home(true);
  EXPECT_EQ(Visitor(*queue, shard).refused, Reason::kDeploymentNotFound);
  queue->set_home(false);
  EXPECT_EQ(Visitor(*queue, shard).refused, Reason::kDeploymentNotFound);
}

TEST_F(HomeTest, LosesNoSlotThatWasGrantedBeforeItMoved) {
  HeldSlot running = take_slot(queue);
  const Visitor waits(*queue, other);
  running.give_back();  // the grant is on its way to the other shard
  queue->set_home(false);
  Result<HeldSlot> held = waits.poll();
  ASSERT_TRUE(held && *held);
  held->give_back();
  EXPECT_EQ(queue->demand().slots_in_use, 0u);
}

TEST_F(HomeTest, IsTheSameForAWaiterThatLeavesAtThatMoment) {
  const HeldSlot running = take_slot(queue);
  const Visitor waits(*queue, other);
  queue->set_home(false);  // the message is on its way
  EXPECT_FALSE(waits.leave().held_slot);
  other.poll();
}

#ifdef ROUTER_CHECKS
TEST_F(HomeTest, MovesWithOneLockAndNoneForEachWaiter) {
  const HeldSlot running = take_slot(queue);
  const Visitor one(*queue, shard);
  const Visitor two(*queue, shard);
  const std::size_t before = queue->locks();
  queue->set_home(false);
  EXPECT_EQ(failure_of(one.poll()), Reason::kHomeMoved);
  EXPECT_EQ(failure_of(two.poll()), Reason::kHomeMoved);
  EXPECT_EQ(queue->locks(), before + 1);
}
#endif

TEST_F(HomeTest, IsNobodyBeforeTheFleetHasSpoken) {
  NamespaceHome home;
  EXPECT_EQ(home.where(), NamespaceHome::kNobody);
  home.set(3);
  EXPECT_EQ(home.where(), 3);
}

// --- requests that were sent on ----------------------------------------------------------------------------------------------

struct SentOn : HomeTest {
  QueuePosition age(Duration age) { return {0, nullptr, shard.now() - age}; }
  HeldSlot running = take_slot(queue);
};

TEST_F(SentOn, WaitAtThePositionOfTheirArrival) {
  shard.clock().advance(1s);
  const Visitor early(*queue, shard);
  shard.clock().advance(1s);
  const Visitor late(*queue, shard);
  const Visitor between(*queue, shard, kNever, age(500ms));
  const Visitor first(*queue, shard, kNever, age(1500ms));
  HeldSlot held = std::move(running);
  for (const Visitor* next : {&first, &early, &between, &late}) {
    held.give_back();
    held = *next->poll();
    EXPECT_TRUE(held);
  }
}

TEST_F(SentOn, ComeBackToThatPosition) {
  shard.clock().advance(1s);
  const Visitor sent_on(*queue, shard, kNever, age(500ms));
  running.give_back();
  HeldSlot held = *sent_on.poll();
  const Visitor newer(*queue, shard, kNever, age(400ms));
  const QueuePosition position{held.ticket(), nullptr};
  queue->set_ready(replica, false);
  held.give_back();
  const Visitor again(*queue, shard, kNever, position);
  queue->set_ready(replica, true);
  const Result<HeldSlot> first = again.poll();
  EXPECT_TRUE(*first);
  EXPECT_FALSE(*newer.poll());
}

TEST_F(SentOn, OfTheFutureArriveNow) {
  const Visitor from_the_future(*queue, shard, kNever, age(-1h));
  EXPECT_EQ(queue->demand().oldest, shard.now());
  shard.clock().advance(1ms);
  const Visitor now(*queue, shard, kNever, age(0s));
  running.give_back();
  const Result<HeldSlot> first = from_the_future.poll();
  EXPECT_TRUE(*first);
  EXPECT_FALSE(*now.poll());
}

TEST_F(SentOn, TellHowLongTheOldestWaits) {
  shard.clock().advance(1min);
  const Visitor old(*queue, shard, kNever, age(3s));
  EXPECT_EQ(queue->demand().oldest, shard.now() - 3s);
}

TEST_F(SentOn, AreNotRefusedForOthersThatCameHereSooner) {
  std::vector<std::unique_ptr<Visitor>> full;
  full.reserve(8);
  for (int count = 0; count < 4; ++count) full.push_back(std::make_unique<Visitor>(*queue, shard));
  EXPECT_EQ(Visitor(*queue, shard).refused, Reason::kQueueFull);
  shard.clock().advance(1s);
  EXPECT_EQ(Visitor(*queue, shard, kNever, age(100ms)).refused, Reason::kQueueFull) << "four have arrived before it";
  for (int count = 0; count < 4; ++count) {
    full.push_back(std::make_unique<Visitor>(*queue, shard, kNever, age(2s - 1ms * count)));
    EXPECT_TRUE(full.back()->waits());
  }
  EXPECT_EQ(Visitor(*queue, shard, kNever, age(3s)).refused, Reason::kQueueFull) << "twice the length is the most";
  EXPECT_EQ(queue->demand().waiting, 8u);
}

}  // namespace
}  // namespace router::dispatch

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <utility>

#include "tests/unit/dispatch/request_queue_test.h"

// What a queue sums up for the autoscaler.
namespace router::dispatch {
namespace {

using Integrals = QueueIntegrals;

struct QueueLoadTest : RequestQueueTest {
  QueueLoadTest() { queue->set_counting(true); }
  void pass(Duration time) { shard.advance(time); }

  const std::shared_ptr<Replica> replica = make_replica(2);
  const std::shared_ptr<RequestQueue> queue = make_queue({replica}, 4, shard.clock());
};

TEST_F(QueueLoadTest, CountsEachSlotThatIsHeldAndForHowLong) {
  HeldSlot first = take_slot(queue);
  HeldSlot second = take_slot(queue);
  pass(3s);
  EXPECT_EQ(queue->integrals(), (Integrals{.busy = 6}));
  first.give_back();
  pass(1s);
  second.give_back();
  EXPECT_EQ(queue->integrals(), (Integrals{.busy = 7, .held = 7, .returns = 2}));
  pass(10s);
  EXPECT_EQ(queue->integrals().busy, 7) << "nothing is busy";
}

TEST_F(QueueLoadTest, CountsEachWaiterUntilItHasASlot) {
  HeldSlot first = take_slot(queue);
  HeldSlot second = take_slot(queue);
  const Visitor waits(*queue, shard);
  pass(1500ms);
  EXPECT_EQ(queue->integrals().waiting, 1.5);
  first.give_back();
  pass(1s);
  EXPECT_EQ(queue->integrals(), (Integrals{.busy = 5, .waiting = 1.5, .held = 1.5, .returns = 1}));
}

TEST_F(QueueLoadTest, CountsAWaiterUntilItLeaves) {
  HeldSlot first = take_slot(queue);
  HeldSlot second = take_slot(queue);
  const Visitor waits(*queue, shard);
  pass(250ms);
  waits.leave();
  pass(1s);
  EXPECT_EQ(queue->integrals().waiting, 0.25);
}

TEST_F(QueueLoadTest, CountsBothWaitsOfARequestThatComesBack) {
  HeldSlot first = take_slot(queue);
  HeldSlot second = take_slot(queue);
  const Visitor waits(*queue, shard);
  pass(1s);
  first.give_back();
  Result<HeldSlot> got = waits.poll();
  ASSERT_TRUE(got && *got);
  pass(500ms);
  got->report().outcome = ReplicaReport::Outcome::kFailed;
  const QueuePosition position = got->position();
  got->give_back();
  HeldSlot third = take_slot(queue);
  const Visitor again(*queue, shard, kNever, position);
  EXPECT_TRUE(again.waits());
  pass(2s);
  EXPECT_EQ(queue->integrals(), (Integrals{.busy = 2 + 1 + 4, .waiting = 3, .held = 1.5, .returns = 2}));
}

TEST_F(QueueLoadTest, CountsASlotThatIsGivenBackAfterAReload) {
  HeldSlot held = take_slot(queue);
  pass(1s);
  queue->set_replicas({});
  queue->set_options({});
  pass(1s);
  queue->close();
  pass(1s);
  held.give_back();
  EXPECT_EQ(queue->integrals(), (Integrals{.busy = 3, .held = 3, .returns = 1}));
}

TEST_F(QueueLoadTest, CountsADeploymentWithoutLimit) {
  const std::shared_ptr<RequestQueue> unlimited = make_queue({make_replica(0)}, 4, shard.clock());
  unlimited->set_counting(true);
  HeldSlot first = take_slot(unlimited);
  HeldSlot second = take_slot(unlimited);
  HeldSlot third = take_slot(unlimited);
  pass(2s);
  EXPECT_EQ(unlimited->integrals().busy, 6);
}

TEST_F(QueueLoadTest, CountsNeitherMirroredCopiesNorProbes) {
  HeldSlot copy = queue->take_idle(shard);
  ASSERT_TRUE(copy);
  pass(1s);
  EXPECT_EQ(queue->integrals(), Integrals{});
  HeldSlot moved = std::move(copy);
  HeldSlot request = take_slot(queue);
  pass(1s);
  moved.give_back();
  pass(1s);
  EXPECT_EQ(queue->integrals(), (Integrals{.busy = 2})) << "the request alone";
  const PreemptibleSlot probe = PreemptibleSlot::take(replica->pod(), 0);
  ASSERT_TRUE(probe);
  pass(1s);
  EXPECT_EQ(queue->integrals().busy, 3);
}

TEST_F(QueueLoadTest, CountsNothingWhileItIsOff) {
  queue->set_counting(false);
  HeldSlot first = take_slot(queue);
  HeldSlot second = take_slot(queue);
  const Visitor waits(*queue, shard);
  pass(5s);
  EXPECT_EQ(queue->integrals(), Integrals{});
  queue->set_counting(true);
  pass(1s);
  EXPECT_EQ(queue->integrals(), (Integrals{.busy = 2, .waiting = 1})) << "what is held already counts from now on";
  queue->set_counting(false);
  first.give_back();
  pass(5s);
  EXPECT_EQ(queue->integrals(), (Integrals{.busy = 2, .waiting = 1})) << "what was counted stays";
  queue->set_counting(true);
  queue->set_counting(true);
  pass(1s);
  EXPECT_EQ(queue->integrals().busy, 4);
}

TEST_F(QueueLoadTest, TakesTheSameMutexAsOftenAsWithout) {
#ifdef ROUTER_CHECKS
  const auto locks_of_an_exchange = [this] {
    const std::size_t before = queue->locks();
    take_slot(queue).give_back();
    return queue->locks() - before;
  };
  const std::size_t on = locks_of_an_exchange();
  queue->set_counting(false);
  EXPECT_EQ(on, locks_of_an_exchange());
#endif
}

TEST(QueueLoad, NeverFallsWhenTimesComeInAnotherOrder) {
  const TimePoint start{10s};
  QueueLoad load;
  load.switch_to(true, start);
  load.advance(start + 2s, 1, 1);
  load.advance(start + 1s, 5, 5);
  EXPECT_EQ(load.sums(), (Integrals{.busy = 2, .waiting = 2}));
  load.given_back(-1s);
  EXPECT_EQ(load.sums().held, 0);
  EXPECT_EQ(load.sums().returns, 1u);
}

}  // namespace
}  // namespace router::dispatch

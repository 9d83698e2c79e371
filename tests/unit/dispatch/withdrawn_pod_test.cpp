#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "router/dispatch/membership.h"
#include "router/dispatch/preemptible_slot.h"
#include "router/dispatch/request_queue.h"
#include "tests/unit/dispatch/queue_world.h"

// Pods that get no new exchange, since they are about to be removed.
namespace router::dispatch {
namespace {

using test::TestShard;

struct WithdrawnPod : testing::Test {
  static HeldSlot granted(const Visitor& visitor) {
    Result<HeldSlot> held_slot = visitor.poll();
    return held_slot ? std::move(*held_slot) : HeldSlot();
  }
  void withdraw(bool withdrawn) { RequestQueue::set_withdrawn(*pod, withdrawn); }

  TestShard shard{0};
  const std::shared_ptr<PodSlots> pod = std::make_shared<PodSlots>(1);
};

TEST_F(WithdrawnPod, GetsNoNewExchangeWhileOthersDo) {
  const auto other = make_replica(1);
  const auto queue = make_queue({std::make_shared<Replica>("withdrawn:5001", 2, pod), other});
  withdraw(true);
  Visitor first(*queue, shard);
  ASSERT_TRUE(first.entry.held_slot);
  EXPECT_EQ(&first.entry.held_slot.replica(), other.get());
  const Visitor second(*queue, shard);
  EXPECT_TRUE(second.waits());
  EXPECT_FALSE(queue->take_idle(shard));
  EXPECT_FALSE(PreemptibleSlot::take(pod, 0)) << "nor a probe";
  withdraw(false);
  EXPECT_TRUE(granted(second)) << "what waits is served at once";
}

TEST_F(WithdrawnPod, KeepsWhatRunsUntilItEnds) {
  const auto queue = make_queue({std::make_shared<Replica>("withdrawn:5001", 2, pod)});
  Visitor running(*queue, shard);
  ASSERT_TRUE(running.entry.held_slot);
  withdraw(true);
  EXPECT_EQ(pod->in_use(), 1u);
  EXPECT_TRUE(running.entry.held_slot);
  const Visitor waits(*queue, shard);
  running.entry.held_slot.give_back();
  EXPECT_EQ(pod->in_use(), 0u);
  EXPECT_FALSE(granted(waits));
}

TEST_F(WithdrawnPod, HasNoIdleConnectionInASlot) {
  const auto queue = make_queue({std::make_shared<Replica>("withdrawn:5001", 2, pod)});
  std::atomic<std::size_t> alive = 0;
  Visitor idle(*queue, shard);
  Visitor busy(*queue, shard);
  for (Visitor* each : {&idle, &busy})
    each->entry.held_slot.entry()->connection = std::make_unique<TestConnection>(0, alive, queue.get());
  idle.entry.held_slot.give_back();
  EXPECT_EQ(alive, 2u);
  withdraw(true);
  EXPECT_EQ(alive, 1u);
  busy.entry.held_slot.give_back();
  EXPECT_EQ(alive, 0u) << "and none is kept afterwards";
}

TEST_F(WithdrawnPod, MayHaveNoLimit) {
  const auto queue = make_queue({std::make_shared<Replica>("withdrawn:5001", 0, pod)});
  Visitor running(*queue, shard);
  ASSERT_TRUE(running.entry.held_slot);
  withdraw(true);
  std::vector<std::unique_ptr<Visitor>> visitors;
  for (int count = 0; count < 3; ++count) visitors.push_back(std::make_unique<Visitor>(*queue, shard));
  running.entry.held_slot.give_back();
  for (const auto& each : visitors) EXPECT_FALSE(granted(*each));
  withdraw(false);
  std::vector<HeldSlot> held;
  for (const auto& each : visitors) held.push_back(granted(*each));
  for (const HeldSlot& each : held) EXPECT_TRUE(each);
}

TEST_F(WithdrawnPod, IsWithdrawnForAllItsQueues) {
  const auto first = make_queue({std::make_shared<Replica>("withdrawn:5001", 2, pod)});
  withdraw(true);
  const auto second = make_queue({std::make_shared<Replica>("withdrawn:5001", 4, pod)});
  const Visitor a(*first, shard);
  const Visitor b(*second, shard);
  EXPECT_TRUE(a.waits() && b.waits()) << "also for one that came later";
  withdraw(false);
  const HeldSlot of_first = granted(a);
  const HeldSlot of_second = granted(b);
  EXPECT_TRUE(of_first && of_second);
}

TEST_F(WithdrawnPod, StopsAProbeThatHoldsASlot) {
  const auto queue = make_queue({std::make_shared<Replica>("withdrawn:5001", 2, pod)});
  const auto holder = std::make_shared<TestHolder>();
  const PreemptibleSlot probe = PreemptibleSlot::take(pod, 0, holder);
  ASSERT_TRUE(probe);
  withdraw(true);
  EXPECT_EQ(holder->times, 1) << "it would count as running";
}

TEST_F(WithdrawnPod, OfAFleetStaysWithheldWhenItIsWithdrawnNoMore) {
  const auto member = std::make_shared<PodSlots>(1, PodSlots::Transport::kOneExchange, std::make_shared<Membership>(1));
  const auto queue = make_queue({std::make_shared<Replica>("withdrawn:5001", 2, member)});
  const Visitor waits(*queue, shard);
  RequestQueue::set_withdrawn(*member, true);
  RequestQueue::set_withheld(*member, 1);
  EXPECT_FALSE(granted(waits)) << "the fleet allows a slot, but the pod is withdrawn";
  RequestQueue::set_withheld(*member, PodSlots::kAll);
  RequestQueue::set_withdrawn(*member, false);
  EXPECT_FALSE(granted(waits)) << "another router's";
  RequestQueue::set_withheld(*member, 1);
  EXPECT_TRUE(granted(waits));
}

}  // namespace
}  // namespace router::dispatch

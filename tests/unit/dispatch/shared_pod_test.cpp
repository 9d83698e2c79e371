#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include "router/dispatch/preemptible_slot.h"
#include "router/dispatch/request_queue.h"
#include "tests/unit/dispatch/queue_world.h"

namespace router::dispatch {
namespace {

using test::TestShard;

/// One pod that several queues share.
class SharedPod : public ::testing::Test {
 protected:
  std::shared_ptr<Replica> replica(std::size_t slots) { return std::make_shared<Replica>("pod:5001", slots, pod); }
  static bool holds(Visitor& visitor) { return static_cast<bool>(visitor.entry.held_slot); }
  /// The slot that was granted to a visitor that waited.
  HeldSlot granted(Visitor& visitor) {
    shard->poll();
    Result<HeldSlot> held_slot = visitor.poll();
    return held_slot ? std::move(*held_slot) : HeldSlot();
  }

  const std::shared_ptr<PodSlots> pod = std::make_shared<PodSlots>();
  const std::unique_ptr<TestShard> shard = std::make_unique<TestShard>(0);
};

TEST_F(SharedPod, HasNoMoreExchangesThanSlotsFromAllQueuesTogether) {
  const auto first = make_queue({replica(2)});
  const auto second = make_queue({replica(2)});
  Visitor a(*first, *shard);
  Visitor b(*second, *shard);
  EXPECT_TRUE(holds(a) && holds(b));
  Visitor c(*first, *shard);
  Visitor d(*second, *shard);
  EXPECT_TRUE(c.waits() && d.waits());
  EXPECT_FALSE(first->take_idle(*shard));
  EXPECT_EQ(pod->in_use(), 2u);
}

/// A connection that carries several exchanges (HTTP/2): slots are counted alike, and no connection belongs to one of them.
TEST_F(SharedPod, WithSharedConnectionsCountsItsSlotsAndKeepsNoStock) {
  const auto shared = std::make_shared<PodSlots>(1, PodSlots::Transport::kShared);
  const auto first = make_queue({std::make_shared<Replica>("pod:5001", 2, shared)});
  Visitor one(*first, *shard);
  Visitor two(*first, *shard);
  Visitor three(*first, *shard);
  ASSERT_TRUE(one.entry.held_slot && two.entry.held_slot);
  EXPECT_EQ(one.entry.held_slot.entry(), nullptr);
  EXPECT_EQ(two.entry.held_slot.entry(), nullptr);
  EXPECT_FALSE(three.entry.held_slot) << "both slots are held";
  EXPECT_EQ(shared->in_use(), 2u);
  one.entry.held_slot.give_back();
  const HeldSlot third = granted(three);
  EXPECT_TRUE(third);
  EXPECT_EQ(shared->in_use(), 2u);
}

TEST_F(SharedPod, ServesAQueueWhenASlotFreesInAnother) {
  const auto first = make_queue({replica(1)});
  const auto second = make_queue({replica(1)});
  Visitor a(*first, *shard);
  Visitor b(*second, *shard);
  ASSERT_TRUE(holds(a) && b.waits());
  a.entry.held_slot.give_back();
  EXPECT_TRUE(granted(b));
}

TEST_F(SharedPod, IsSharedInTurnsByQueuesThatAreBothFull) {
  const auto first = make_queue({replica(1)});
  const auto second = make_queue({replica(1)});
  std::vector<std::unique_ptr<Visitor>> visitors;
  for (int count = 0; count < 10; ++count) {  // all exchanges of the first queue enter before those of the second
    visitors.push_back(std::make_unique<Visitor>(*first, *shard));
  }
  for (int count = 0; count < 10; ++count) visitors.push_back(std::make_unique<Visitor>(*second, *shard));
  std::vector<std::size_t> served;
  HeldSlot held = std::move(visitors.front()->entry.held_slot);
  while (held) {
    held.give_back();
    for (std::size_t index = 1; index < visitors.size() && !held; ++index) {
      if (!visitors[index]->waits()) continue;
      held = granted(*visitors[index]);
      if (held) served.push_back(index / 10);
    }
  }
  ASSERT_EQ(served.size(), 19u);
  for (std::size_t index = 0; index + 1 < 18; ++index) EXPECT_NE(served[index], served[index + 1]) << index;
}

TEST_F(SharedPod, LendsAFreeSlotForAProbeAndServesWhoCameMeanwhile) {
  const auto queue = make_queue({replica(1)});
  PreemptibleSlot preemptible = PreemptibleSlot::take(pod, 0);
  ASSERT_TRUE(preemptible);
  EXPECT_NE(preemptible.entry(), nullptr);
  EXPECT_FALSE(PreemptibleSlot::take(pod, 0)) << "the pod has one slot, and it is in use";
  EXPECT_EQ(queue->demand().slots_in_use, 0u) << "a probe is not an exchange";
  Visitor a(*queue, *shard);
  Visitor b(*queue, *shard);
  ASSERT_TRUE(a.waits() && b.waits());
  preemptible.give_back();
  HeldSlot held = granted(a);
  ASSERT_TRUE(held);
  EXPECT_FALSE(PreemptibleSlot::take(pod, 0)) << "the slot is busy, and an exchange waits";
  held.give_back();
  EXPECT_FALSE(PreemptibleSlot::take(pod, 0)) << "the slot is on its way to the exchange that waits";
  held = granted(b);
  ASSERT_TRUE(held);
  held.give_back();
  preemptible = PreemptibleSlot::take(pod, 0);
  EXPECT_TRUE(preemptible);
  PreemptibleSlot moved = std::move(preemptible);
  EXPECT_FALSE(preemptible);
  moved = PreemptibleSlot();
  EXPECT_EQ(pod->in_use(), 0u);
}

TEST_F(SharedPod, LetARequestWaitForAsLongAsAProbeWasOpen) {
  const auto queue = make_queue({replica(1)});
  const auto probe = std::make_shared<TestHolder>();
  PreemptibleSlot preemptible = PreemptibleSlot::take(pod, 0, probe);
  EXPECT_FALSE(queue->take_idle(*shard));
  EXPECT_EQ(probe->times, 0) << "no exchange waits";
  Visitor a(*queue, *shard);
  EXPECT_EQ(probe->times, 1);
  Visitor b(*queue, *shard);
  ASSERT_TRUE(a.waits() && b.waits());
  EXPECT_FALSE(granted(a)) << "the probe's connection is still open";
  EXPECT_EQ(probe->times, 1) << "once";
  preemptible.give_back();
  const HeldSlot held = granted(a);
  EXPECT_TRUE(held);
  EXPECT_FALSE(granted(b));
  EXPECT_EQ(probe->times, 1);
  b.leave();
}

TEST_F(SharedPod, RefusedARequestBecauseOfAProbeWhereNobodyMayWait) {
  const auto queue = make_queue({replica(2)}, 0);
  PreemptibleSlot first = PreemptibleSlot::take(pod, 0, std::make_shared<TestHolder>());
  PreemptibleSlot second = PreemptibleSlot::take(pod, 0, std::make_shared<TestHolder>());
  Visitor a(*queue, *shard);
  Visitor b(*queue, *shard, shard->now());
  Visitor c(*queue, *shard);
  EXPECT_TRUE(a.waits() && b.waits()) << "each waits for a slot that a probe gives up";
  EXPECT_EQ(c.refused, Reason::kQueueFull) << "the same reason as without probes";
  second.give_back();
  HeldSlot held = granted(a);
  EXPECT_TRUE(held);
  first.give_back();
  HeldSlot other = granted(b);
  EXPECT_TRUE(other);
  Visitor d(*queue, *shard);
  EXPECT_EQ(d.refused, Reason::kQueueFull);
}

TEST_F(SharedPod, RefusedARequestBecauseOfAProbeThatNobodyCanEnd) {
  const auto queue = make_queue({replica(1)}, 0);
  const PreemptibleSlot preemptible = PreemptibleSlot::take(pod, 0);
  Visitor a(*queue, *shard);
  EXPECT_EQ(a.refused, Reason::kQueueFull) << "the router cannot end this probe early";
}

TEST_F(SharedPod, EndedAProbeForARequestThatAnotherReplicaCouldServe) {
  for (int times = 0; times < 20; ++times) {
    const auto queue = make_queue({replica(1), make_replica(1, "other:5001")});
    const auto probe = std::make_shared<TestHolder>();
    PreemptibleSlot preemptible = PreemptibleSlot::take(pod, 0, probe);
    Visitor a(*queue, *shard);
    ASSERT_TRUE(holds(a));
    EXPECT_EQ(probe->times, 0);
    Visitor b(*queue, *shard);
    EXPECT_TRUE(b.waits());
    EXPECT_EQ(probe->times, 1) << "the queue's order of looking at replicas does not matter";
    a.entry.held_slot.give_back();
    const HeldSlot held = granted(b);
    EXPECT_TRUE(held) << "the first slot that becomes free serves it";
  }
}

TEST_F(SharedPod, GivesAProbesSlotToEveryQueueInTurn) {
  const auto first = make_queue({replica(1)}, 0);
  const auto second = make_queue({replica(1)}, 0);
  const auto probe = std::make_shared<TestHolder>();
  PreemptibleSlot preemptible = PreemptibleSlot::take(pod, 0, probe);
  Visitor a(*first, *shard);
  Visitor b(*second, *shard);
  ASSERT_TRUE(a.waits() && b.waits());
  EXPECT_EQ(probe->times, 1);
  preemptible.give_back();
  HeldSlot held = granted(a);
  ASSERT_TRUE(held);
  held.give_back();
  EXPECT_TRUE(granted(b));
}

TEST_F(SharedPod, MayLoseItsReplicasWhileAProbeGivesItsSlotUp) {
  const auto first = make_queue({replica(1)});
  const auto second = make_queue({replica(1)});
  PreemptibleSlot preemptible = PreemptibleSlot::take(pod, 0, std::make_shared<TestHolder>());
  Visitor a(*first, *shard);
  Visitor b(*second, *shard);
  ASSERT_TRUE(a.waits() && b.waits());
  first->set_replicas({});
  second->close();
  preemptible.give_back();
  EXPECT_FALSE(granted(a));
  EXPECT_EQ(pod->in_use(), 0u);
  a.leave();
}

TEST_F(SharedPod, ForgetsAProbeThatHasEndedBeforeARequestCame) {
  const auto queue = make_queue({replica(1)}, 0);
  const auto probe = std::make_shared<TestHolder>();
  PreemptibleSlot::take(pod, 0, probe).give_back();
  Visitor a(*queue, *shard);
  EXPECT_TRUE(holds(a));
  EXPECT_EQ(probe.use_count(), 1);
  EXPECT_EQ(probe->times, 0);
}

TEST_F(SharedPod, LendsASlotWithoutEndWhereItHasNoLimit) {
  const auto queue = make_queue({replica(0)});
  const PreemptibleSlot first = PreemptibleSlot::take(pod, 0);
  const PreemptibleSlot second = PreemptibleSlot::take(pod, 0);
  EXPECT_TRUE(first && second);
  EXPECT_EQ(first.entry(), nullptr);
}

/// One deployment knows the same pod by two names, which differ for TLS.
TEST_F(SharedPod, HadItsSlotsTwiceWhereOneQueueKnewItByTwoNames) {
  const auto queue = make_queue({replica(1), replica(1)});
  Visitor a(*queue, *shard);
  Visitor b(*queue, *shard);
  Visitor c(*queue, *shard);
  ASSERT_TRUE(holds(a));
  EXPECT_TRUE(b.waits() && c.waits());
  a.entry.held_slot.give_back();
  HeldSlot held = granted(b);
  EXPECT_TRUE(held);
  EXPECT_TRUE(c.waits());
  held.give_back();
  held = granted(c);
  EXPECT_TRUE(held);
  held.give_back();
  EXPECT_EQ(pod->in_use(), 0u);
}

TEST_F(SharedPod, HasAsManySlotsAsTheStrictestSays) {
  const auto one = replica(1);
  const auto first = make_queue({one});
  const auto second = make_queue({replica(3)});
  Visitor a(*second, *shard);
  Visitor b(*second, *shard);
  ASSERT_TRUE(holds(a) && b.waits());
  first->set_slots(one, 2);
  const HeldSlot held = granted(b);
  EXPECT_TRUE(held);
  Visitor c(*second, *shard);
  ASSERT_TRUE(c.waits());
  first->close();
  EXPECT_TRUE(granted(c)) << "the limit of the first queue does not apply any more";
}

TEST_F(SharedPod, OffersItsSlotToTheNextQueueIfTheRequestOfTheFirstHasLeft) {
  const auto first = make_queue({replica(1)});
  const auto second_replica = replica(1);
  const auto second = make_queue({second_replica});
  Visitor a(*first, *shard);
  Visitor b(*second, *shard);
  Visitor c(*first, *shard);
  ASSERT_TRUE(b.waits() && c.waits());
  b.leave();
  a.entry.held_slot.give_back();  // offered first to the second queue, whose exchange has left
  EXPECT_TRUE(granted(c));
  EXPECT_EQ(pod->in_use(), 0u);
}

TEST_F(SharedPod, IsNotKeptByAQueueInWhichItIsNotReady) {
  const auto first = make_queue({replica(1)});
  const auto second_replica = replica(1);
  const auto second = make_queue({second_replica});
  Visitor a(*first, *shard);
  Visitor b(*second, *shard);
  Visitor c(*first, *shard);
  second->set_ready(second_replica, false);
  a.entry.held_slot.give_back();
  HeldSlot held = granted(c);
  ASSERT_TRUE(held);
  second->set_ready(second_replica, true);
  held.give_back();
  EXPECT_TRUE(granted(b));
}

TEST_F(SharedPod, KeepsItsConnectionsForEveryQueue) {
  std::atomic<std::size_t> alive = 0;
  const auto first = make_queue({replica(1)});
  const auto second = make_queue({replica(1)});
  {
    Visitor a(*first, *shard);
    a.entry.held_slot.entry()->connection = std::make_unique<TestConnection>(0, alive, first.get());
  }
  Visitor b(*second, *shard);
  EXPECT_NE(b.entry.held_slot.entry()->connection, nullptr);
  b.entry.held_slot.give_back();
  first->close();
  EXPECT_EQ(alive, 1u);
  second->close();
  EXPECT_EQ(alive, 0u);
}

TEST_F(SharedPod, IsGivenUpByAQueueThatEnds) {
  auto first = make_queue({replica(1)});
  const auto second = make_queue({replica(1)});
  Visitor a(*second, *shard);
  {
    Visitor b(*first, *shard);
    ASSERT_TRUE(b.waits());
  }
  first.reset();
  a.entry.held_slot.give_back();
  Visitor c(*second, *shard);
  EXPECT_TRUE(holds(c));
}

TEST_F(SharedPod, IsRefusedInEachQueueAndWhoWaitsForItAloneWaitsForNoReadyReplica) {
  const auto first = make_queue({replica(1)});
  const auto second = make_queue({replica(1)});
  Visitor a(*first, *shard);
  Visitor b(*second, *shard);  // waits for the slot that the exchange of the other queue holds
  ASSERT_TRUE(holds(a) && b.waits());
  a.entry.held_slot.report().outcome = ReplicaReport::Outcome::kRefused;
  const QueuePosition position_a = a.entry.held_slot.position();
  a.entry.held_slot.give_back();
  HeldSlot held_slot_b = granted(b);
  ASSERT_TRUE(held_slot_b) << "the first queue cannot use the slot any more";
  held_slot_b.report().outcome = ReplicaReport::Outcome::kRefused;
  const QueuePosition position_b = held_slot_b.position();
  held_slot_b.give_back();
  const Visitor again_a(*first, *shard, kNever, position_a);
  const Visitor again_b(*second, *shard, kNever, position_b);
  const Visitor later(*second, *shard);
  ASSERT_TRUE(again_a.waits() && again_b.waits() && later.waits());
  EXPECT_FALSE(again_a.leave().replica_was_ready);
  EXPECT_FALSE(again_b.leave().replica_was_ready);
  EXPECT_FALSE(later.leave().replica_was_ready);
  EXPECT_EQ(pod->in_use(), 0u);
}

}  // namespace
}  // namespace router::dispatch

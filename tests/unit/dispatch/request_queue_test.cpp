#include "tests/unit/dispatch/request_queue_test.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <vector>

namespace router::dispatch {
namespace {

TEST_F(RequestQueueTest, GivesAFreeSlotAtOnce) {
  const std::shared_ptr<Replica> pod = make_replica(1);
  const std::shared_ptr<RequestQueue> queue = make_queue({pod});
  const HeldSlot held = take_slot(queue);
  EXPECT_EQ(&held.replica(), pod.get());
  EXPECT_NE(held.entry(), nullptr);
  EXPECT_EQ(queue->demand().slots_in_use, 1u);
}

TEST_F(RequestQueueTest, RefusesAtOnceWhenItIsFull) {
  const std::shared_ptr<RequestQueue> queue = make_queue({make_replica(1)}, 1);
  const HeldSlot running = take_slot(queue);
  Started waiting = start(queue, shard, 1s);
  EXPECT_EQ(start(queue).get().error().reason, Reason::kQueueFull);
  EXPECT_FALSE(waiting.done());
  shard.advance(1s);
  EXPECT_EQ(waiting.get().error().reason, Reason::kQueueTimeout);
  EXPECT_FALSE(start(queue).done()) << "an exchange that left makes room";
}

TEST_F(RequestQueueTest, ServesInOrderOfArrivalOverAllShards) {
  const std::shared_ptr<RequestQueue> queue = make_queue({make_replica(1)});
  HeldSlot running = take_slot(queue);
  Started first = start(queue, other);
  Started second = start(queue, shard);
  Started third = start(queue, other);
  std::uint64_t ticket = running.ticket();
  running.give_back();
  shard.poll();
  EXPECT_FALSE(second.done());
  other.poll();
  ASSERT_TRUE(first.done());
  EXPECT_FALSE(third.done());
  const auto ends_later = [&ticket](Started& started) {
    const HeldSlot ends = started.get().value();
    EXPECT_GT(ends.ticket(), ticket);
    ticket = ends.ticket();
  };
  ends_later(first);
  other.poll();
  EXPECT_FALSE(third.done());
  shard.poll();
  ASSERT_TRUE(second.done());
  ends_later(second);
  other.poll();
  ASSERT_TRUE(third.done());
  ends_later(third);
}

TEST_F(RequestQueueTest, DoesNotLetANewcomerOvertakeAGrantOnItsWay) {
  const std::shared_ptr<RequestQueue> queue = make_queue({make_replica(1)});
  HeldSlot running = take_slot(queue);
  Started first = start(queue, other);
  running.give_back();  // the grant is posted to the other shard, whose loop has not run yet
  Started newcomer = start(queue, shard);
  EXPECT_FALSE(newcomer.done());
  other.poll();
  EXPECT_TRUE(first.done());
  EXPECT_FALSE(newcomer.done());
}

TEST_F(RequestQueueTest, BindsAWaiterOnlyWhenASlotIsFree) {
  const std::shared_ptr<Replica> slow = make_replica(1, "slow:1");
  const std::shared_ptr<Replica> quick = make_replica(1, "quick:1");
  const std::shared_ptr<RequestQueue> queue = make_queue({slow, quick});
  std::vector<HeldSlot> running;
  running.push_back(take_slot(queue));
  running.push_back(take_slot(queue));
  Started waiting = start(queue);
  for (HeldSlot& held : running) {
    if (&held.replica() == quick.get()) held.give_back();
  }
  shard.poll();
  ASSERT_TRUE(waiting.done());
  EXPECT_EQ(&waiting.get()->replica(), quick.get());
}

TEST_F(RequestQueueTest, RefusesAtOnceWhenThereIsNoReplicaAtAll) {
  EXPECT_EQ(start(make_queue()).get().error().reason, Reason::kNoReadyReplica);
}

TEST_F(RequestQueueTest, WaitsForAReplicaToBecomeReady) {
  const std::shared_ptr<Replica> pod = make_replica(1);
  const std::shared_ptr<RequestQueue> queue = make_queue();
  queue->set_replicas({pod});
  Started waiting = start(queue);
  EXPECT_FALSE(waiting.done()) << "a new replica is not ready";
  queue->set_ready(pod, true);
  shard.poll();
  ASSERT_TRUE(waiting.done());
  EXPECT_EQ(&waiting.get()->replica(), pod.get());
}

TEST_F(RequestQueueTest, TellsThatNoReplicaWasEverReadyFromAWaitThatWasTooLong) {
  const std::shared_ptr<Replica> pod = make_replica(1);
  const std::shared_ptr<RequestQueue> queue = make_queue();
  queue->set_replicas({pod});
  Started unlucky = start(queue, shard, 1s);
  shard.advance(1s);
  EXPECT_EQ(unlucky.get().error().reason, Reason::kNoReadyReplica);

  queue->set_ready(pod, true);
  const HeldSlot running = take_slot(queue);
  queue->set_ready(pod, false);
  Started met_one = start(queue, shard, 2s);
  Started met_none = start(queue, shard, 1s);
  shard.advance(1s);
  EXPECT_EQ(met_none.get().error().reason, Reason::kNoReadyReplica);
  queue->set_ready(pod, true);  // ready, but its slot is taken
  queue->set_ready(pod, false);
  shard.advance(1s);
  EXPECT_EQ(met_one.get().error().reason, Reason::kQueueTimeout);
}

TEST_F(RequestQueueTest, GivesNothingOfAReplicaThatIsNotReadyAnyMore) {
  const std::shared_ptr<Replica> pod = make_replica(2);
  const std::shared_ptr<RequestQueue> queue = make_queue({pod});
  HeldSlot running = take_slot(queue);
  queue->set_ready(pod, false);
  Started waiting = start(queue);
  running.give_back();
  shard.poll();
  EXPECT_FALSE(waiting.done());
  queue->set_ready(pod, true);
  shard.poll();
  EXPECT_TRUE(waiting.done());
}

TEST_F(RequestQueueTest, NeverFillsAReplicaWithoutLimit) {
  const std::shared_ptr<RequestQueue> queue = make_queue({make_replica(0)});
  std::vector<HeldSlot> held;
  for (int count = 0; count < 1000; ++count) {
    held.push_back(take_slot(queue));
    ASSERT_EQ(held.back().entry(), nullptr);
  }
  EXPECT_EQ(queue->demand().slots_in_use, 1000u);
  held.clear();
  EXPECT_EQ(queue->demand().slots_in_use, 0u);
}

TEST_F(RequestQueueTest, UsesNewSlotsAtOnce) {
  const std::shared_ptr<Replica> pod = make_replica(1);
  const std::shared_ptr<RequestQueue> queue = make_queue({pod});
  const HeldSlot running = take_slot(queue);
  Started first = start(queue);
  Started second = start(queue);
  Started third = start(queue);
  queue->set_slots(pod, 3);
  shard.poll();
  EXPECT_TRUE(first.done());
  EXPECT_TRUE(second.done());
  EXPECT_FALSE(third.done());
  queue->set_slots(pod, 0);
  shard.poll();
  EXPECT_TRUE(third.done());
}

TEST_F(RequestQueueTest, GivesNothingUntilFewerSlotsAreInUseThanThereAre) {
  const std::shared_ptr<Replica> pod = make_replica(3);
  const std::shared_ptr<RequestQueue> queue = make_queue({pod});
  std::vector<HeldSlot> held;
  for (int count = 0; count < 3; ++count) held.push_back(take_slot(queue));
  queue->set_slots(pod, 1);
  Started waiting = start(queue);
  held.pop_back();
  shard.poll();
  EXPECT_FALSE(waiting.done());
  held.pop_back();
  shard.poll();
  EXPECT_FALSE(waiting.done());
  held.pop_back();
  shard.poll();
  EXPECT_TRUE(waiting.done());
}

TEST_F(RequestQueueTest, CountsHeldSlotsWithoutSlotWhenALimitIsSet) {
  const std::shared_ptr<Replica> pod = make_replica(0);
  const std::shared_ptr<RequestQueue> queue = make_queue({pod});
  std::vector<HeldSlot> held;
  held.push_back(take_slot(queue));
  held.push_back(take_slot(queue));
  queue->set_slots(pod, 2);
  Started waiting = start(queue);
  EXPECT_FALSE(waiting.done());
  held.pop_back();
  shard.poll();
  ASSERT_TRUE(waiting.done());
  EXPECT_NE(waiting.peek()->entry(), nullptr);
}

TEST_F(RequestQueueTest, KeepsTheHeldSlotsOfAReplicaThatIsGoneAndGivesNothingNewOfIt) {
  const std::shared_ptr<Replica> gone = make_replica(1, "gone:1");
  const std::shared_ptr<Replica> fresh = make_replica(1, "fresh:1");
  const std::shared_ptr<RequestQueue> queue = make_queue({gone});
  HeldSlot running = take_slot(queue);
  Started waiting = start(queue);
  queue->set_replicas({fresh});
  running.give_back();
  shard.poll();
  EXPECT_FALSE(waiting.done());
  queue->set_ready(fresh, true);
  shard.poll();
  ASSERT_TRUE(waiting.done());
  EXPECT_EQ(&waiting.get()->replica(), fresh.get());
}

TEST_F(RequestQueueTest, CountsWhatAReplicaStillServesWhenItComesBack) {
  const std::shared_ptr<Replica> pod = make_replica(1);
  const std::shared_ptr<RequestQueue> queue = make_queue({pod});
  HeldSlot running = take_slot(queue);
  queue->set_replicas({});
  queue->set_replicas({pod});
  EXPECT_EQ(queue->demand().replicas_ready, 0u);
  queue->set_ready(pod, true);
  Started waiting = start(queue);
  EXPECT_FALSE(waiting.done());
  running.give_back();
  shard.poll();
  EXPECT_TRUE(waiting.done());
}

TEST_F(RequestQueueTest, KeepsWhoWaitsWhileThereIsNoReplicaForAMoment) {
  const std::shared_ptr<Replica> pod = make_replica(1);
  const std::shared_ptr<RequestQueue> queue = make_queue({pod});
  const HeldSlot running = take_slot(queue);
  Started waiting = start(queue);
  queue->set_replicas({});
  shard.poll();
  EXPECT_FALSE(waiting.done());
  const std::shared_ptr<Replica> fresh = make_replica(1);
  queue->set_replicas({fresh});
  queue->set_ready(fresh, true);
  shard.poll();
  EXPECT_TRUE(waiting.done());
}

TEST_F(RequestQueueTest, AnswersEverybodyWhenItIsClosed) {
  const std::shared_ptr<Replica> pod = make_replica(1);
  const std::shared_ptr<RequestQueue> queue = make_queue({pod});
  HeldSlot running = take_slot(queue);
  Started here = start(queue);
  Started there = start(queue, other);
  queue->close();
  shard.poll();
  other.poll();
  EXPECT_EQ(here.get().error().reason, Reason::kDeploymentNotFound);
  EXPECT_EQ(there.get().error().reason, Reason::kDeploymentNotFound);
  EXPECT_EQ(start(queue).get().error().reason, Reason::kDeploymentNotFound);
  queue->set_replicas({pod});
  running.give_back();
  EXPECT_EQ(start(queue).get().error().reason, Reason::kDeploymentNotFound);
}

TEST_F(RequestQueueTest, KeepsAGrantThatWasMadeBeforeItWasClosed) {
  const std::shared_ptr<RequestQueue> queue = make_queue({make_replica(1)});
  HeldSlot running = take_slot(queue);
  Started waiting = start(queue);
  running.give_back();
  queue->close();
  shard.poll();
  EXPECT_TRUE(waiting.get().has_value());
}

TEST_F(RequestQueueTest, TakesNewOptionsForThoseWhoComeThen) {
  const std::shared_ptr<RequestQueue> queue = make_queue({make_replica(1)}, 1);
  const HeldSlot running = take_slot(queue);
  const Visitor first(*queue, shard);
  QueueOptions options;
  options.length_max = 2;
  queue->set_options(options);
  const Visitor second(*queue, shard);
  EXPECT_TRUE(second.waits());
  options.length_max = 0;
  queue->set_options(options);
  EXPECT_EQ(Visitor(*queue, shard).refused, Reason::kQueueFull);
  EXPECT_EQ(queue->demand().waiting, 2u) << "exchanges that wait already may continue";
}

TEST_F(RequestQueueTest, TellsWhatItAsksFor) {
  const std::shared_ptr<Replica> pod = make_replica(2, "a:1");
  const std::shared_ptr<Replica> starting = make_replica(4, "b:1");
  const std::shared_ptr<RequestQueue> queue = make_queue({pod}, 64, shard.clock());
  queue->set_replicas({pod, starting});
  const HeldSlot first = take_slot(queue);
  const HeldSlot second = take_slot(queue);
  shard.advance(3s);
  const TimePoint arrival = shard.now();
  const Visitor oldest(*queue, shard);
  shard.advance(3s);
  const Visitor youngest(*queue, shard);
  const Demand demand = queue->demand();
  EXPECT_EQ(demand.waiting, 2u);
  EXPECT_EQ(demand.oldest, arrival);
  EXPECT_EQ(demand.slots, 6u);
  EXPECT_EQ(demand.slots_in_use, 2u);
  EXPECT_EQ(demand.replicas, 2u);
  EXPECT_EQ(demand.replicas_ready, 1u);
}

}  // namespace
}  // namespace router::dispatch

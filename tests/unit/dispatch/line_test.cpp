#include "tests/unit/dispatch/line_test.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <vector>

namespace router::dispatch {
namespace {

TEST_F(LineTest, GivesAFreeSlotAtOnce) {
  const std::shared_ptr<Replica> pod = make_replica(1);
  const std::shared_ptr<Line> line = make_line({pod});
  const Lease held = lease(line);
  EXPECT_EQ(&held.replica(), pod.get());
  EXPECT_NE(held.slot(), nullptr);
  EXPECT_EQ(line->demand().slots_in_use, 1u);
}

TEST_F(LineTest, RefusesAtOnceWhenItIsFull) {
  const std::shared_ptr<Line> line = make_line({make_replica(1)}, 1);
  const Lease running = lease(line);
  Started waiting = start(line, shard, 1s);
  EXPECT_EQ(start(line).get().error().reason, Reason::kQueueFull);
  EXPECT_FALSE(waiting.done());
  shard.advance(1s);
  EXPECT_EQ(waiting.get().error().reason, Reason::kQueueTimeout);
  EXPECT_FALSE(start(line).done()) << "who has left makes room";
}

TEST_F(LineTest, ServesInOrderOfArrivalOverAllShards) {
  const std::shared_ptr<Line> line = make_line({make_replica(1)});
  Lease running = lease(line);
  Started first = start(line, other);
  Started second = start(line, shard);
  Started third = start(line, other);
  running.give_back();
  shard.poll();
  EXPECT_FALSE(second.done());
  other.poll();
  ASSERT_TRUE(first.done());
  EXPECT_FALSE(third.done());
  { const Lease ends = first.get().value(); }
  other.poll();
  EXPECT_FALSE(third.done());
  shard.poll();
  ASSERT_TRUE(second.done());
  { const Lease ends = second.get().value(); }
  other.poll();
  ASSERT_TRUE(third.done());
  EXPECT_EQ(third.get()->ticket(), 4u);
}

TEST_F(LineTest, DoesNotLetANewcomerOvertakeAGrantOnItsWay) {
  const std::shared_ptr<Line> line = make_line({make_replica(1)});
  Lease running = lease(line);
  Started first = start(line, other);
  running.give_back();  // the grant is posted to the other shard, which has not turned yet
  Started newcomer = start(line, shard);
  EXPECT_FALSE(newcomer.done());
  other.poll();
  EXPECT_TRUE(first.done());
  EXPECT_FALSE(newcomer.done());
}

TEST_F(LineTest, BindsAWaiterOnlyWhenASlotIsFree) {
  const std::shared_ptr<Replica> slow = make_replica(1, "slow:1");
  const std::shared_ptr<Replica> quick = make_replica(1, "quick:1");
  const std::shared_ptr<Line> line = make_line({slow, quick});
  std::vector<Lease> running;
  running.push_back(lease(line));
  running.push_back(lease(line));
  Started waiting = start(line);
  for (Lease& held : running) {
    if (&held.replica() == quick.get()) held.give_back();
  }
  shard.poll();
  ASSERT_TRUE(waiting.done());
  EXPECT_EQ(&waiting.get()->replica(), quick.get());
}

TEST_F(LineTest, RefusesAtOnceWhenThereIsNoReplicaAtAll) {
  EXPECT_EQ(start(make_line()).get().error().reason, Reason::kNoReadyReplica);
}

TEST_F(LineTest, WaitsForAReplicaToBecomeReady) {
  const std::shared_ptr<Replica> pod = make_replica(1);
  const std::shared_ptr<Line> line = make_line();
  line->set_replicas({pod});
  Started waiting = start(line);
  EXPECT_FALSE(waiting.done()) << "a new replica is not ready";
  line->set_ready(pod, true);
  shard.poll();
  ASSERT_TRUE(waiting.done());
  EXPECT_EQ(&waiting.get()->replica(), pod.get());
}

TEST_F(LineTest, TellsThatNoReplicaWasEverReadyFromAWaitThatWasTooLong) {
  const std::shared_ptr<Replica> pod = make_replica(1);
  const std::shared_ptr<Line> line = make_line();
  line->set_replicas({pod});
  Started unlucky = start(line, shard, 1s);
  shard.advance(1s);
  EXPECT_EQ(unlucky.get().error().reason, Reason::kNoReadyReplica);

  line->set_ready(pod, true);
  const Lease running = lease(line);
  line->set_ready(pod, false);
  Started met_one = start(line, shard, 2s);
  Started met_none = start(line, shard, 1s);
  shard.advance(1s);
  EXPECT_EQ(met_none.get().error().reason, Reason::kNoReadyReplica);
  line->set_ready(pod, true);  // ready, but its slot is taken
  line->set_ready(pod, false);
  shard.advance(1s);
  EXPECT_EQ(met_one.get().error().reason, Reason::kQueueTimeout);
}

TEST_F(LineTest, GivesNothingOfAReplicaThatIsNotReadyAnyMore) {
  const std::shared_ptr<Replica> pod = make_replica(2);
  const std::shared_ptr<Line> line = make_line({pod});
  Lease running = lease(line);
  line->set_ready(pod, false);
  Started waiting = start(line);
  running.give_back();
  shard.poll();
  EXPECT_FALSE(waiting.done());
  line->set_ready(pod, true);
  shard.poll();
  EXPECT_TRUE(waiting.done());
}

TEST_F(LineTest, NeverFillsAReplicaWithoutLimit) {
  const std::shared_ptr<Line> line = make_line({make_replica(0)});
  std::vector<Lease> held;
  for (int count = 0; count < 1000; ++count) {
    held.push_back(lease(line));
    ASSERT_EQ(held.back().slot(), nullptr);
  }
  EXPECT_EQ(line->demand().slots_in_use, 1000u);
  held.clear();
  EXPECT_EQ(line->demand().slots_in_use, 0u);
}

TEST_F(LineTest, UsesNewSlotsAtOnce) {
  const std::shared_ptr<Replica> pod = make_replica(1);
  const std::shared_ptr<Line> line = make_line({pod});
  const Lease running = lease(line);
  Started first = start(line);
  Started second = start(line);
  Started third = start(line);
  line->set_slots(pod, 3);
  shard.poll();
  EXPECT_TRUE(first.done());
  EXPECT_TRUE(second.done());
  EXPECT_FALSE(third.done());
  line->set_slots(pod, 0);
  shard.poll();
  EXPECT_TRUE(third.done());
}

TEST_F(LineTest, GivesNothingUntilFewerSlotsAreInUseThanThereAre) {
  const std::shared_ptr<Replica> pod = make_replica(3);
  const std::shared_ptr<Line> line = make_line({pod});
  std::vector<Lease> held;
  for (int count = 0; count < 3; ++count) held.push_back(lease(line));
  line->set_slots(pod, 1);
  Started waiting = start(line);
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

TEST_F(LineTest, CountsLeasesWithoutSlotWhenALimitIsSet) {
  const std::shared_ptr<Replica> pod = make_replica(0);
  const std::shared_ptr<Line> line = make_line({pod});
  std::vector<Lease> held;
  held.push_back(lease(line));
  held.push_back(lease(line));
  line->set_slots(pod, 2);
  Started waiting = start(line);
  EXPECT_FALSE(waiting.done());
  held.pop_back();
  shard.poll();
  ASSERT_TRUE(waiting.done());
  EXPECT_NE(waiting.peek()->slot(), nullptr);
}

TEST_F(LineTest, KeepsTheLeasesOfAReplicaThatIsGoneAndGivesNothingNewOfIt) {
  const std::shared_ptr<Replica> gone = make_replica(1, "gone:1");
  const std::shared_ptr<Replica> fresh = make_replica(1, "fresh:1");
  const std::shared_ptr<Line> line = make_line({gone});
  Lease running = lease(line);
  Started waiting = start(line);
  line->set_replicas({fresh});
  running.give_back();
  shard.poll();
  EXPECT_FALSE(waiting.done());
  line->set_ready(fresh, true);
  shard.poll();
  ASSERT_TRUE(waiting.done());
  EXPECT_EQ(&waiting.get()->replica(), fresh.get());
}

TEST_F(LineTest, CountsWhatAReplicaStillServesWhenItComesBack) {
  const std::shared_ptr<Replica> pod = make_replica(1);
  const std::shared_ptr<Line> line = make_line({pod});
  Lease running = lease(line);
  line->set_replicas({});
  line->set_replicas({pod});
  EXPECT_EQ(line->demand().replicas_ready, 0u);
  line->set_ready(pod, true);
  Started waiting = start(line);
  EXPECT_FALSE(waiting.done());
  running.give_back();
  shard.poll();
  EXPECT_TRUE(waiting.done());
}

TEST_F(LineTest, KeepsWhoWaitsWhileThereIsNoReplicaForAMoment) {
  const std::shared_ptr<Replica> pod = make_replica(1);
  const std::shared_ptr<Line> line = make_line({pod});
  const Lease running = lease(line);
  Started waiting = start(line);
  line->set_replicas({});
  shard.poll();
  EXPECT_FALSE(waiting.done());
  const std::shared_ptr<Replica> fresh = make_replica(1);
  line->set_replicas({fresh});
  line->set_ready(fresh, true);
  shard.poll();
  EXPECT_TRUE(waiting.done());
}

TEST_F(LineTest, AnswersEverybodyWhenItIsClosed) {
  const std::shared_ptr<Replica> pod = make_replica(1);
  const std::shared_ptr<Line> line = make_line({pod});
  Lease running = lease(line);
  Started here = start(line);
  Started there = start(line, other);
  line->close();
  shard.poll();
  other.poll();
  EXPECT_EQ(here.get().error().reason, Reason::kDeploymentNotFound);
  EXPECT_EQ(there.get().error().reason, Reason::kDeploymentNotFound);
  EXPECT_EQ(start(line).get().error().reason, Reason::kDeploymentNotFound);
  line->set_replicas({pod});
  running.give_back();
  EXPECT_EQ(start(line).get().error().reason, Reason::kDeploymentNotFound);
}

TEST_F(LineTest, KeepsAGrantThatWasMadeBeforeItWasClosed) {
  const std::shared_ptr<Line> line = make_line({make_replica(1)});
  Lease running = lease(line);
  Started waiting = start(line);
  running.give_back();
  line->close();
  shard.poll();
  EXPECT_TRUE(waiting.get().has_value());
}

TEST_F(LineTest, TakesNewOptionsForThoseWhoComeThen) {
  const std::shared_ptr<Line> line = make_line({make_replica(1)}, 1);
  const Lease running = lease(line);
  const Visitor first(*line, shard);
  LineOptions options;
  options.length_max = 2;
  line->set_options(options);
  const Visitor second(*line, shard);
  EXPECT_TRUE(second.waits());
  options.length_max = 0;
  line->set_options(options);
  EXPECT_EQ(Visitor(*line, shard).refused, Reason::kQueueFull);
  EXPECT_EQ(line->demand().waiting, 2u) << "who waits already may go on";
}

TEST_F(LineTest, TellsWhatItAsksFor) {
  const std::shared_ptr<Replica> pod = make_replica(2, "a:1");
  const std::shared_ptr<Replica> starting = make_replica(4, "b:1");
  const std::shared_ptr<Line> line = make_line({pod}, 64, shard.clock());
  line->set_replicas({pod, starting});
  const Lease first = lease(line);
  const Lease second = lease(line);
  shard.advance(3s);
  const TimePoint arrival = shard.now();
  const Visitor oldest(*line, shard);
  shard.advance(3s);
  const Visitor youngest(*line, shard);
  const Demand demand = line->demand();
  EXPECT_EQ(demand.waiting, 2u);
  EXPECT_EQ(demand.oldest, arrival);
  EXPECT_EQ(demand.slots, 6u);
  EXPECT_EQ(demand.slots_in_use, 2u);
  EXPECT_EQ(demand.replicas, 2u);
  EXPECT_EQ(demand.replicas_ready, 1u);
}

}  // namespace
}  // namespace router::dispatch

#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "router/dispatch/request_queue.h"
#include "tests/unit/dispatch/queue_world.h"

namespace router::dispatch {
namespace {

using namespace std::chrono_literals;
using Outcome = ReplicaReport::Outcome;
using test::TestShard;

struct EjectionTest : testing::Test {
  EjectionTest() {
    for (int index = 0; index < 4; ++index) pods.push_back(make_replica(0, "pod-" + std::to_string(index) + ":1"));
    queue = make_queue(64, shard.clock(), std::make_shared<TestWatcher>([this] { look(); }));
    queue->set_replicas(pods);
    for (const auto& pod : pods) queue->set_ready(pod, true);
  }
  /// Notes the replicas that were taken out since the last look, and for how long no probe is sent to them.
  void look() {
    queue->begin_look();  // the mutex is free
    for (const auto& pod : pods) {
      const Condition now = queue->condition(pod);
      if (now != std::exchange(seen[pod], now) && now.state != Health::State::kWell) {
        told.emplace_back(pod, now.asked_from - shard.now());
      }
    }
  }
  HeldSlot held_slot_of(const Replica& wanted) {
    std::vector<HeldSlot> others;
    for (int tries = 0; tries < 100; ++tries) {
      Visitor visitor(*queue, shard);
      if (&visitor.entry.held_slot.replica() == &wanted) return std::move(visitor.entry.held_slot);
      others.push_back(std::move(visitor.entry.held_slot));
    }
    ADD_FAILURE() << wanted.name() << " is never chosen";
    return {};
  }
  void exchange(const Replica& with, Outcome outcome, Duration sheds = {}) {
    HeldSlot held_slot = held_slot_of(with);
    held_slot.report().outcome = outcome;
    if (sheds > Duration{}) held_slot.report().sheds_until = shard.now() + sheds;
  }
  void fail(const Replica& with, std::size_t times = Health::kFailuresMax) {
    for (std::size_t count = 0; count < times; ++count) exchange(with, Outcome::kFailed);
  }
  bool is_chosen(const Replica& wanted) {
    std::vector<HeldSlot> held;
    for (int tries = 0; tries < 50; ++tries) {
      Visitor visitor(*queue, shard);
      if (&visitor.entry.held_slot.replica() == &wanted) return true;
      held.push_back(std::move(visitor.entry.held_slot));
    }
    return false;
  }

  bool is_ejected(const std::shared_ptr<Replica>& pod) const { return queue->condition(pod).state == Health::State::kEjected; }
  bool refuses(const std::shared_ptr<Replica>& pod) const { return queue->condition(pod).state == Health::State::kRefusing; }

  TestShard shard{0};
  std::map<std::shared_ptr<Replica>, Condition> seen;
  std::vector<std::shared_ptr<Replica>> pods;
  std::shared_ptr<RequestQueue> queue;
  std::vector<std::pair<std::shared_ptr<Replica>, Duration>> told;
};

TEST_F(EjectionTest, FollowsFiveFailuresInARow) {
  fail(*pods[0], 4);
  exchange(*pods[0], Outcome::kSucceeded);
  fail(*pods[0], 4);
  exchange(*pods[0], Outcome::kNone);  // a client that left says nothing about the replica
  EXPECT_TRUE(is_chosen(*pods[0]));
  fail(*pods[0], 1);
  EXPECT_FALSE(is_chosen(*pods[0]));
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0], std::pair(pods[0], Duration(10s)));
  EXPECT_EQ(queue->demand().ejections, 1u);
  EXPECT_EQ(queue->demand().replicas_ejected, 1u);
  EXPECT_TRUE(is_ejected(pods[0]));
}

TEST_F(EjectionTest, LastsUntilItIsReadmitted) {
  fail(*pods[0]);
  shard.advance(1h);
  EXPECT_FALSE(is_chosen(*pods[0])) << "no probe has readmitted it";
  queue->readmit(pods[0]);
  EXPECT_TRUE(is_chosen(*pods[0]));
  fail(*pods[0], 4);
  EXPECT_TRUE(is_chosen(*pods[0])) << "the count of failures starts at 0";
}

TEST_F(EjectionTest, IsOverForWhoBecomesReadyAgain) {
  fail(*pods[0]);
  queue->set_ready(pods[0], false);
  EXPECT_EQ(queue->demand().replicas_ejected, 0u) << "only ready replicas are counted";
  queue->set_ready(pods[0], true);
  EXPECT_FALSE(is_ejected(pods[0]));
  EXPECT_TRUE(is_chosen(*pods[0]));
  fail(*pods[0]);
  EXPECT_EQ(told.back().second, Duration(20s)) << "a relapse counts as one, however the replica was readmitted";
}

TEST_F(EjectionTest, ForgetsFailuresOfWhoBecomesReadyAgain) {
  fail(*pods[0], 4);
  queue->set_ready(pods[0], false);
  queue->set_ready(pods[0], true);
  fail(*pods[0], 4);
  EXPECT_TRUE(is_chosen(*pods[0]));
}

TEST_F(EjectionTest, DoublesForARelapseUpToFiveMinutes) {
  for (const Duration length : std::vector<Duration>{10s, 20s, 40s, 80s, 160s, 300s, 300s}) {
    fail(*pods[0]);
    EXPECT_EQ(told.back().second, length);
    shard.advance(length);
    queue->readmit(pods[0]);
    shard.advance(length - 1s);
  }
  shard.advance(300s);
  fail(*pods[0]);
  EXPECT_EQ(told.back().second, Duration(10s)) << "it has served without failures for as long as it was ejected";
}

TEST_F(EjectionTest, NeverTakesMoreThanHalf) {
  for (const auto& pod : pods) fail(*pod, 4);
  for (const auto& pod : pods) fail(*pod, 1);
  EXPECT_EQ(queue->demand().replicas_ejected, 2u);
  EXPECT_FALSE(is_chosen(*pods[0]));
  EXPECT_FALSE(is_chosen(*pods[1]));
  EXPECT_TRUE(is_chosen(*pods[2]));
  queue->readmit(pods[0]);
  fail(*pods[2], 1);
  EXPECT_FALSE(is_chosen(*pods[2])) << "its failures still count";
}

TEST_F(EjectionTest, LeavesALoneReplicaInPlace) {
  queue->set_replicas({pods[0]});
  fail(*pods[0], 50);
  EXPECT_TRUE(told.empty());
  EXPECT_TRUE(is_chosen(*pods[0]));
}

TEST_F(EjectionTest, CountsOnlyReadyReplicasForTheHalf) {
  queue->set_ready(pods[2], false);
  queue->set_ready(pods[3], false);
  fail(*pods[0]);
  fail(*pods[1], 10);
  EXPECT_EQ(queue->demand().replicas_ejected, 1u);
  EXPECT_TRUE(is_chosen(*pods[1]));
}

TEST_F(EjectionTest, EndsForTheFirstWhenTheOthersGo) {
  fail(*pods[0]);
  shard.advance(1s);
  fail(*pods[1]);
  queue->set_ready(pods[3], false);  // three are ready: at most one of them may be ejected
  EXPECT_TRUE(is_chosen(*pods[0]));
  EXPECT_FALSE(is_chosen(*pods[1]));
  queue->set_replicas({pods[1]});
  EXPECT_TRUE(is_chosen(*pods[1]));
}

TEST_F(EjectionTest, ServesWhoWaitsWhenTheReplicaIsReadmitted) {
  const auto first = make_replica(1, "first:1");
  const auto second = make_replica(1, "second:1");
  queue->set_replicas({first, second});
  queue->set_ready(first, true);
  queue->set_ready(second, true);
  fail(*first);
  Visitor running(*queue, shard);
  const Visitor waiting(*queue, shard);
  ASSERT_TRUE(waiting.waits());
  queue->readmit(first);
  EXPECT_TRUE(*waiting.poll());
}

TEST_F(EjectionTest, ARefusedConnectionTakesTheReplicaOutAtOnce) {
  exchange(*pods[0], Outcome::kRefused);
  EXPECT_TRUE(refuses(pods[0]));
  EXPECT_FALSE(is_chosen(*pods[0]));
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0], std::pair(pods[0], Duration{})) << "it may be probed at once";
  EXPECT_EQ(queue->demand().replicas_refusing, 1u);
  EXPECT_EQ(queue->demand().refusals, 1u);
  EXPECT_EQ(queue->demand().replicas_ejected, 0u);
  queue->readmit(pods[0]);
  EXPECT_TRUE(is_chosen(*pods[0]));
  EXPECT_EQ(queue->demand().replicas_refusing, 0u);
}

TEST_F(EjectionTest, RefusingReplicasAreOutWithoutAnyHalf) {
  for (const auto& pod : pods) exchange(*pod, Outcome::kRefused);
  EXPECT_EQ(queue->demand().replicas_refusing, 4u);
  for (const auto& pod : pods) queue->readmit(pod);
  EXPECT_TRUE(is_chosen(*pods[3]));
}

TEST_F(EjectionTest, TheHalfIsOneOfThoseThatDoNotRefuse) {
  fail(*pods[0]);
  fail(*pods[1]);
  EXPECT_EQ(queue->demand().replicas_ejected, 2u);
  exchange(*pods[2], Outcome::kRefused);
  EXPECT_EQ(queue->demand().replicas_ejected, 1u) << "three replicas can be reached";
  exchange(*pods[3], Outcome::kRefused);
  EXPECT_EQ(queue->demand().replicas_ejected, 1u);
  EXPECT_EQ(queue->demand().replicas_refusing, 2u);
  for (const auto& pod : {pods[0], pods[1]}) {
    if (!is_ejected(pod)) exchange(*pod, Outcome::kRefused);
  }
  EXPECT_EQ(queue->demand().replicas_ejected, 0u) << "one replica can be reached, and it must not be ejected";
}

TEST_F(EjectionTest, ANewReadyEndsRefusing) {
  exchange(*pods[0], Outcome::kRefused);
  queue->set_ready(pods[0], true);  // the source has reported it ready all the time
  EXPECT_TRUE(refuses(pods[0]));
  queue->set_ready(pods[0], false);
  EXPECT_EQ(queue->demand().replicas_refusing, 0u) << "only ready replicas are counted";
  queue->set_ready(pods[0], true);
  EXPECT_FALSE(refuses(pods[0]));
  EXPECT_TRUE(is_chosen(*pods[0]));
}

TEST_F(EjectionTest, ARefusalSaysNothingOfFailures) {
  fail(*pods[0], 4);
  exchange(*pods[0], Outcome::kRefused);
  queue->readmit(pods[0]);
  fail(*pods[0], 4);
  EXPECT_TRUE(is_chosen(*pods[0])) << "the count of failures starts at 0";
}

TEST_F(EjectionTest, AReplicaThatRefusesByTurnsIsAskedLaterEachTime) {
  const auto refuse = [this] {
    exchange(*pods[0], Outcome::kRefused);
    const Duration pause = told.back().second;
    shard.advance(pause);
    queue->readmit(pods[0]);
    return pause;
  };
  for (const Duration pause : std::vector<Duration>{0ms, 100ms, 200ms, 400ms, 800ms, 1s, 1s}) EXPECT_EQ(refuse(), pause);
  shard.advance(1s);
  EXPECT_EQ(refuse(), Duration{}) << "it has accepted connections for a while";
}

TEST_F(EjectionTest, ServesWhoWaitsWhenTheReplicaAcceptsAgain) {
  const auto only = make_replica(1, "only:1");
  queue->set_replicas({only});
  queue->set_ready(only, true);
  Visitor refused(*queue, shard);
  refused.entry.held_slot.report().outcome = Outcome::kRefused;
  const QueuePosition position = refused.entry.held_slot.position();
  EXPECT_EQ(position.avoided, nullptr) << "the replica is out, and need not be avoided once it is back";
  const Visitor later(*queue, shard);
  refused.entry.held_slot.give_back();
  const Visitor again(*queue, shard, kNever, position);
  ASSERT_TRUE(later.waits() && again.waits());
  queue->readmit(only);
  shard.poll();
  const Result<HeldSlot> held_slot = again.poll();
  EXPECT_TRUE(*held_slot) << "it kept its position before the later one";
  EXPECT_FALSE(*later.poll());
}

TEST_F(EjectionTest, WhoWaitsForRefusingReplicasAloneWaitsForNoReadyReplica) {
  const auto only = make_replica(1, "only:1");
  queue->set_replicas({only});
  queue->set_ready(only, true);
  Visitor refused(*queue, shard);
  refused.entry.held_slot.report().outcome = Outcome::kRefused;
  const Visitor met_it(*queue, shard);
  const QueuePosition position = refused.entry.held_slot.position();
  refused.entry.held_slot.give_back();
  const Visitor again(*queue, shard, kNever, position);
  const Visitor later(*queue, shard);
  EXPECT_TRUE(met_it.leave().replica_was_ready) << "the replica served when this exchange entered";
  for (const Visitor* visitor : {&again, &later}) {
    const Parting parting = visitor->leave();
    EXPECT_FALSE(parting.replica_was_ready);
    EXPECT_TRUE(parting.replicas_refuse);
  }
}

TEST_F(EjectionTest, AReplicaThatShedsIsChosenLast) {
  exchange(*pods[0], Outcome::kSucceeded, 30s);
  EXPECT_FALSE(is_chosen(*pods[0]));
  for (std::size_t index = 1; index < pods.size(); ++index) queue->set_ready(pods[index], false);
  EXPECT_TRUE(is_chosen(*pods[0])) << "no exchange waits while a slot is free";
  for (std::size_t index = 1; index < pods.size(); ++index) queue->set_ready(pods[index], true);
  shard.advance(29s);
  EXPECT_FALSE(is_chosen(*pods[0]));
  shard.advance(1s);
  EXPECT_TRUE(is_chosen(*pods[0]));
}

}  // namespace
}  // namespace router::dispatch

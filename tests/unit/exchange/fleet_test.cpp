// Exchanges of a router that is a member of a fleet: none begins at a pod of a limited deployment while the process is not
// covered, and what runs can be cut (docs/decisions/0071).

#include <utility>

#include "router/dispatch/membership.h"
#include "router/proxy/settle.h"
#include "tests/unit/exchange/exchange_world.h"

namespace router::test {
namespace {

using dispatch::Coverage;
using dispatch::PodSlots;
using Outcome = dispatch::ReplicaReport::Outcome;

std::chrono::nanoseconds boot_clock = 1h;
std::chrono::nanoseconds read_boot_clock() noexcept { return boot_clock; }

std::shared_ptr<upstream::Replica> make_replica_of(const char* name, std::size_t slots, std::shared_ptr<PodSlots> pod) {
  upstream::ReplicaOptions options;
  options.name = name;
  options.slots = slots;
  options.address = *runtime::Address::parse("127.0.0.1", 1);
  options.pod = std::move(pod);
  return std::make_shared<upstream::Replica>(std::move(options));
}

/// One replica with one slot, which the fleet has given to this process.
struct InAFleet : testing::Test {
  explicit InAFleet(std::size_t slots = 1) {
    replica = make_replica_of("a", slots, pod);
    world.blue.queue->set_replicas({replica});
    world.blue.queue->set_ready(replica, true);
    world.publish();
    dispatch::RequestQueue::set_withheld(*pod, 0);
    cover(Coverage::kAlways);
  }
  void cover(Coverage::BootTime until) { membership->coverage().set_until(until); }
  void cut() {
    membership->cut(world.shard.shard());
    world.poll();
  }
  PodConnection& pod_connection() { return world.pods.last(); }

  const std::shared_ptr<dispatch::Membership> membership = std::make_shared<dispatch::Membership>(1, read_boot_clock);
  const std::shared_ptr<PodSlots> pod = std::make_shared<PodSlots>(1, PodSlots::Transport::kOneExchange, membership);
  std::shared_ptr<upstream::Replica> replica;
  ExchangeWorld world;
};

// --- before it begins --------------------------------------------------------------------------------------------------------

TEST_F(InAFleet, ARequestIsServedWhileTheProcessIsCovered) {
  Asking& asking = world.ask();
  pod_connection().answer(200);
  EXPECT_EQ(asking.client.status, 200);
  EXPECT_EQ(pod->busy(), 0u);
}

TEST_F(InAFleet, NoConnectionIsOpenedWhileItIsNot) {
  cover(boot_clock);
  Asking& asking = world.ask();
  world.advance(1ms);
  EXPECT_TRUE(world.pods.tried.empty());
  EXPECT_FALSE(asking.over);
  EXPECT_EQ(world.slots_in_use(), 0u) << "it waits without a slot";
  cover(boot_clock + 1s);
  world.advance(5ms);
  pod_connection().answer(200);
  EXPECT_EQ(asking.client.status, 200);
  EXPECT_EQ(world.cells().connect_retries(), 0u);
}

TEST_F(InAFleet, NothingIsSentIfTheCoverageEndsWhileItConnects) {
  cover(boot_clock + 1s);
  world.pods.plan(ScriptedPods::Opening::kHangs);
  Asking& asking = world.ask();
  ASSERT_EQ(world.pods.tried.size(), 1u);
  boot_clock += 1s;
  world.pods.let_in();
  EXPECT_TRUE(pod_connection().closed) << "the new connection is not kept";
  EXPECT_TRUE(pod_connection().path.empty());
  EXPECT_EQ(pod->busy(), 0u);
  cover(boot_clock + 1s);
  world.advance(5ms);
  EXPECT_EQ(world.pods.tried.size(), 2u);
  pod_connection().answer(200);
  EXPECT_EQ(asking.client.status, 200);
  EXPECT_EQ(pod_connection().outcome, Outcome::kSucceeded);
}

TEST_F(InAFleet, ItWaitsInTheQueueOnceItsSlotsAreWithheld) {
  cover(boot_clock);
  Asking& first = world.ask();
  Asking& second = world.ask();
  dispatch::RequestQueue::set_withheld(*pod, PodSlots::kAll);
  world.advance(5ms);
  EXPECT_EQ(world.waiting(), 2u);
  cover(Coverage::kAlways);
  dispatch::RequestQueue::set_withheld(*pod, 0);
  world.poll();
  pod_connection().answer(200);
  EXPECT_EQ(first.client.status, 200) << "in order of arrival";
  pod_connection().answer(200);
  EXPECT_EQ(second.client.status, 200);
}

TEST_F(InAFleet, ItWaitsNoLongerThanTheQueueAllows) {
  cover(boot_clock);
  Asking& asking = world.ask();
  for (int step = 0; step < 99; ++step) world.advance(5ms);
  EXPECT_FALSE(asking.over);
  world.advance(6ms);
  EXPECT_TRUE(asking.over);
  EXPECT_EQ(asking.client.reason, "queue_timeout");
  EXPECT_TRUE(world.pods.tried.empty());
}

TEST_F(InAFleet, AClientThatLeavesMeanwhileIsNoticed) {
  cover(boot_clock);
  Asking& asking = world.ask();
  asking.client.leave();
  EXPECT_TRUE(asking.over);
  EXPECT_EQ(world.told(Reason::kClientClosed, 499), 1u);
}

TEST_F(InAFleet, ASecondAttemptMayNotBeginEither) {
  const auto stale = world.pods.plan_connection();
  stale->reused = true;
  stale->unseen = upstream::Unseen::kProved;
  Asking& asking = world.ask();
  cover(boot_clock);
  stale->breaks();
  EXPECT_EQ(world.pods.tried.size(), 1u);
  cover(Coverage::kAlways);
  world.advance(5ms);
  EXPECT_EQ(world.pods.tried.size(), 2u);
  pod_connection().answer(200);
  EXPECT_EQ(asking.client.status, 200);
}

TEST_F(InAFleet, ARequestThatMayHaveEndedItsPodEndsInstead) {
  const auto stale = world.pods.plan_connection();
  stale->reused = true;
  stale->unseen = upstream::Unseen::kAssumed;
  Asking& asking = world.ask();
  cover(boot_clock);
  stale->breaks();
  EXPECT_EQ(asking.client.reason, "fleet_uncovered") << "it may go to no other pod, also not later";
  EXPECT_EQ(asking.client.status, 503);
}

/// The home's side of a request that another router has sent on, as far as the exchange is concerned.
Task<bool> run_with_age(ExchangeWorld& world, Asking& asking, Duration age) {
  proxy::Exchange exchange(world.server, asking.client, asking.wakeup);
  exchange.came_with_age(age);
  const Result<void> answered = co_await exchange.answer();
  if (!answered) exchange.refuse(answered.error());
  const proxy::Settled settled =
      co_await proxy::settle(asking.client, exchange.attempt(), asking.wakeup, 60s, exchange.ended());
  exchange.report(settled);
  co_return asking.over = true;
}

TEST_F(InAFleet, ARequestThatWasSentOnDoesNotWaitTwice) {
  world.ask();
  Asking sent_on(world.shard.shard(), world.head());
  world.shard.start(run_with_age(world, sent_on, 300ms));
  world.advance(199ms);
  EXPECT_FALSE(sent_on.over);
  world.advance(1ms);
  EXPECT_TRUE(sent_on.over);
  EXPECT_EQ(sent_on.client.reason, "queue_timeout");
}

TEST_F(InAFleet, ARequestThatWasSentOnIsServedInOrderOfItsArrival) {
  world.ask();
  PodConnection& first = pod_connection();
  Asking& newer = world.ask();
  Asking sent_on(world.shard.shard(), world.head());
  world.shard.start(run_with_age(world, sent_on, 1ms));
  first.answer(200);
  world.poll();
  pod_connection().answer(201);
  EXPECT_EQ(sent_on.client.status, 201);
  pod_connection().answer(202);
  EXPECT_EQ(newer.client.status, 202);
}

// --- while it runs -----------------------------------------------------------------------------------------------------------

TEST_F(InAFleet, ACutEndsARequestWithoutAnAnswer) {
  Asking& asking = world.ask();
  cover(boot_clock);
  cut();
  EXPECT_EQ(asking.client.status, 503);
  EXPECT_EQ(asking.client.reason, "fleet_uncovered");
  EXPECT_EQ(world.told(Reason::kFleetUncovered, 503), 1u);
  EXPECT_TRUE(pod_connection().closed) << "the pod has closed its side, too";
  EXPECT_EQ(pod_connection().outcome, Outcome::kNone) << "it is not the pod's fault";
  EXPECT_EQ(pod->busy(), 0u);
}

TEST_F(InAFleet, ACutEndsAnAnswerThatHasBegun) {
  Asking& asking = world.ask();
  pod_connection().begin_answer(200);
  pod_connection().send("half");
  cut();
  EXPECT_TRUE(asking.client.cut);
  EXPECT_TRUE(pod_connection().closed);
}

TEST_F(InAFleet, ACutHoldsTheSlotUntilThePodHasClosed) {
  const auto deaf = world.pods.plan_connection();
  deaf->deaf = true;
  world.ask();
  cut();
  EXPECT_EQ(pod->busy(), 1u);
  world.advance(250ms);
  EXPECT_EQ(pod->busy(), 0u) << "the router resets the connection after abort_wait_ms";
}

TEST_F(InAFleet, ACutEndsAnOpening) {
  world.pods.plan(ScriptedPods::Opening::kHangs);
  Asking& asking = world.ask();
  cover(boot_clock);
  cut();
  EXPECT_EQ(pod->busy(), 0u);
  EXPECT_FALSE(asking.over) << "the pod has seen nothing: it waits";
}

TEST_F(InAFleet, ACutEndsAnOpeningWhoseSlotStaysWithAnotherShard) {
  world.pods.plan(ScriptedPods::Opening::kFetches);
  Asking& first = world.ask();
  Asking& second = world.ask();
  cover(boot_clock);
  cut();
  EXPECT_EQ(pod->busy(), 1u) << "the other shard still has the slot's connection";
  EXPECT_FALSE(first.over) << "the pod has seen nothing: it waits";
  cover(Coverage::kAlways);
  world.advance(5ms);
  world.pods.left.clear();
  world.poll();
  pod_connection().answer(200);
  EXPECT_EQ(first.client.status, 200) << "it has kept its place before the second";
  pod_connection().answer(200);
  EXPECT_EQ(second.client.status, 200);
}

TEST_F(InAFleet, ACutEndsAnAnswerThatNobodyWaitsFor) {
  world.blue.drain_on_abort = true;
  world.publish(2);
  Asking& asking = world.ask();
  asking.client.leave();
  EXPECT_EQ(pod->busy(), 1u);
  cut();
  EXPECT_TRUE(asking.over);
  EXPECT_EQ(pod->busy(), 0u);
}

TEST_F(InAFleet, ACutDoesNotTouchAnAnswerThatIsComplete) {
  Asking& asking = world.ask();
  asking.client.take_nothing();
  pod_connection().says_close = true;
  pod_connection().deaf = true;
  pod_connection().answer(200, "whole");
  EXPECT_EQ(pod->busy(), 1u) << "the pod has not closed its side";
  cut();
  asking.client.take_all();
  world.advance(250ms);
  EXPECT_EQ(asking.client.status, 200);
  EXPECT_TRUE(asking.client.complete);
  EXPECT_FALSE(asking.client.cut);
}

TEST_F(InAFleet, ACutEndsACopy) {
  const auto shadow = make_replica_of("s", 1, pod);
  ExchangeWorld mirrored;
  mirrored.add_replica("a");
  mirrored.shadow.queue->set_replicas({shadow});
  mirrored.shadow.queue->set_ready(shadow, true);
  mirrored.mirror_percent = 100;
  mirrored.publish();
  mirrored.ask();
  mirrored.poll();
  ASSERT_EQ(pod->busy(), 1u);
  membership->cut(mirrored.shard.shard());
  mirrored.poll();
  EXPECT_EQ(pod->busy(), 0u);
  EXPECT_EQ(mirrored.mirrored(metrics::MirrorResult::kFailed), 1u);
}

/// The same pod, without a limit.
struct WithoutALimit : InAFleet {
  WithoutALimit() : InAFleet(0) {}
};

TEST_F(WithoutALimit, NothingNeedsTheFleet) {
  cover(boot_clock);
  Asking& asking = world.ask();
  cut();
  pod_connection().answer(200);
  EXPECT_EQ(asking.client.status, 200);
}

}  // namespace
}  // namespace router::test

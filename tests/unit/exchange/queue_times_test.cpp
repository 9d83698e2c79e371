// How long a request may take before it holds a slot (contract, sections 3 and 5). Each timeout is tested to the millisecond.

#include "tests/unit/exchange/exchange_world.h"

namespace router::test {
namespace {

struct QueueTimes : ExchangeTest {};
struct GatheringTimes : ExchangeTest {};

TEST_F(QueueTimes, ARequestThatIsServedIsToldOnce) {
  Asking& asking = world.ask("Content-Length: 3\r\n", "abc");
  pod().answer(200, "yes");
  EXPECT_TRUE(asking.over);
  EXPECT_EQ(asking.client.status, 200);
  EXPECT_EQ(asking.client.answer, "yes");
  EXPECT_TRUE(asking.client.complete && pod().rests);
  EXPECT_EQ(pod().body, "abc");
  EXPECT_EQ(pod().outcome, dispatch::ReplicaReport::Outcome::kSucceeded);
  EXPECT_EQ(world.told(), 1u);
  EXPECT_EQ(world.told(Reason::kNone, 200), 1u);
}

TEST_F(QueueTimes, ARequestWaitsForASlotAsLongAsItsDeploymentSays) {
  world.occupy();
  Asking& waits = world.ask();
  EXPECT_EQ(world.waiting(), 1u);
  EXPECT_TRUE(ends_after(waits, 500ms));
  EXPECT_TRUE(refused(waits, Reason::kQueueTimeout, 503));
  EXPECT_EQ(world.pods.tried.size(), 1u);
}

TEST_F(QueueTimes, ASlotThatIsOnItsWayWhenTheTimeEndsIsUsed) {
  world.occupy();
  Asking& waits = world.ask();
  world.shard.clock().advance(500ms);
  pod().unheard = true;
  pod().answer(200);
  world.advance(0ms);  // the timer runs before the message that brings the slot
  EXPECT_EQ(world.pods.tried.size(), 2u);
  pod().answer(200);
  EXPECT_EQ(waits.client.status, 200);
}

TEST_F(QueueTimes, WhoNeverSawAReadyReplicaIsToldThat) {
  ExchangeWorld other;
  other.blue.queue->set_ready(other.add_replica("a"), false);
  other.publish();
  Asking& waits = other.ask();
  other.advance(499ms);
  EXPECT_FALSE(waits.over);
  other.advance(1ms);
  EXPECT_TRUE(waits.over);
  EXPECT_EQ(waits.client.reason, "no_ready_replica");
  EXPECT_EQ(other.told(Reason::kNoReadyReplica, 503), 1u);
}

TEST_F(QueueTimes, TheClientsPatienceEndsItsWait) {
  world.occupy();
  Asking& waits = world.ask("x-request-deadline-ms: 200\r\n");
  EXPECT_TRUE(ends_after(waits, 200ms));
  EXPECT_TRUE(refused(waits, Reason::kQueueTimeout, 503));
}

TEST_F(QueueTimes, AClientWithoutTimeIsRefusedBeforeItsBodyIsWaitedFor) {
  Asking& late = world.ask("Content-Length: 10\r\nx-request-deadline-ms: 0\r\n");
  EXPECT_EQ(late.client.reason, "deadline_unmeetable");
  EXPECT_EQ(late.client.status, 503);
  EXPECT_TRUE(world.pods.tried.empty());
}

TEST_F(QueueTimes, ASlotOfANewerReplicaWaitsForItsViewWhatIsLeftOfTheTimeInTheQueue) {
  world.add_replica("b", 1, 2);
  world.occupy();
  Asking& second = world.ask();
  const bool first_waits = world.pods.tried.empty() || world.pods.tried[0].replica == "b";
  ASSERT_FALSE(first_waits && second.over);
  EXPECT_EQ(world.slots_in_use(), 2u);
  EXPECT_EQ(world.pods.tried.size(), 1u) << "one of them holds the slot of the newer replica, and waits for its view";
  world.advance(499ms);
  EXPECT_EQ(world.slots_in_use(), 2u);
  world.advance(1ms);
  EXPECT_EQ(world.told(Reason::kQueueTimeout, 503), 1u);
  EXPECT_EQ(world.slots_in_use(), 1u);
}

TEST_F(QueueTimes, ASlotOfANewerReplicaWaitsForItsViewForATenthOfASecondAtLeast) {
  ExchangeWorld other;
  other.add_replica("b", 1, 2);
  other.blue.queue_wait_max = 20ms;
  other.publish();
  Asking& asking = other.ask();
  other.advance(99ms);
  EXPECT_FALSE(asking.over);
  other.advance(1ms);
  EXPECT_EQ(asking.client.reason, "queue_timeout");
}

TEST_F(QueueTimes, ASlotOfANewerReplicaIsUsedUnderItsView) {
  ExchangeWorld other;
  other.add_replica("b", 1, 2);
  other.publish(1);
  Asking& asking = other.ask();
  EXPECT_TRUE(other.pods.tried.empty());
  other.blue.score_path = "/newer";
  other.publish(2);
  ASSERT_EQ(other.pods.tried.size(), 1u);
  EXPECT_EQ(other.pods.last().path, "/newer");
  other.pods.last().answer(200);
  EXPECT_EQ(asking.client.status, 200);
}

TEST_F(QueueTimes, ASlotIsGivenBackWhereItsViewLeadsElsewhere) {
  ExchangeWorld other;
  other.add_replica("b", 1, 2);
  other.publish(1);
  Asking& asking = other.ask();
  const std::shared_ptr<dispatch::RequestQueue> old =
      std::exchange(other.blue.queue, std::make_shared<dispatch::RequestQueue>(dispatch::QueueOptions{}, other.shard.clock()));
  other.publish(2);
  EXPECT_EQ(old->demand().slots_in_use, 0u);
  EXPECT_EQ(asking.client.reason, "no_ready_replica") << "it waits in the new queue, which has no replica";
  old->set_replicas({});
  old->close();
}

TEST_F(QueueTimes, ASlotIsGivenBackWhereItsViewRefusesTheRequest) {
  ExchangeWorld other;
  other.add_replica("b", 1, 2);
  other.publish(1);
  Asking& asking = other.ask();
  other.key = "another";
  other.publish(2);
  EXPECT_EQ(asking.client.status, 401);
  EXPECT_EQ(other.slots_in_use(), 0u);
}

TEST_F(QueueTimes, ARequestThatANewerViewRefusesFirstOfAllKeepsNothingOfTheOlderOne) {
  ExchangeWorld other;
  other.add_replica("b", 1, 2);
  other.publish(1);
  Asking& asking = other.ask("Via: 1.1 late-name\r\n");
  other.via = http::Via("late-name");
  other.publish(2);
  EXPECT_EQ(asking.client.reason, "loop");
  EXPECT_EQ(asking.client.status, 508);
  EXPECT_EQ(asking.client.header("azureml-model-deployment"), "") << "the deployment of a view that is gone";
  EXPECT_EQ(other.slots_in_use(), 0u);
}

TEST_F(QueueTimes, WhoWaitsForADeploymentThatIsRemovedIsToldThat) {
  ExchangeWorld other;
  other.add_replica("a");
  other.publish();
  other.occupy();
  Asking& waits = other.ask();
  other.blue.queue->close();
  other.poll();
  EXPECT_EQ(waits.client.reason, "deployment_not_found");
  EXPECT_EQ(waits.client.status, 404);
}

TEST_F(QueueTimes, WhoFindsTheQueueFullIsRefusedAtOnce) {
  world.blue.queue->set_options({.length_max = 1});
  world.occupy();
  world.ask();
  EXPECT_TRUE(refused(world.ask(), Reason::kQueueFull, 503));
}

// --- gathering ---------------------------------------------------------------------------------------------------------------

TEST_F(GatheringTimes, ASmallBodyIsWholeBeforeItsRequestJoinsTheQueue) {
  Asking& slow = world.ask("Content-Length: 10\r\n", "01234");
  world.advance(3s);
  EXPECT_EQ(world.slots_in_use(), 0u);
  slow.client.send("56789");
  EXPECT_EQ(world.slots_in_use(), 1u);
  EXPECT_EQ(pod().body, "0123456789");
}

TEST_F(GatheringTimes, TheTimeInTheQueueBeginsBehindIt) {
  world.occupy();
  Asking& slow = world.ask("Content-Length: 10\r\n", "01234");
  world.advance(400ms);
  slow.client.send("56789");
  EXPECT_TRUE(ends_after(slow, 500ms));
  EXPECT_TRUE(refused(slow, Reason::kQueueTimeout, 503));
}

TEST_F(GatheringTimes, ABodyOfMoreThan64KbJoinsAtOnce) {
  world.ask("Content-Length: 65537\r\n");
  EXPECT_EQ(world.slots_in_use(), 1u);
}

TEST_F(GatheringTimes, ABodyThatStopsIsGivenUpAfterBodyTimeout) {
  world.limits.min_body_rate = 0;
  world.publish(2);
  Asking& slow = world.ask("Content-Length: 10\r\n");
  world.advance(50s);
  slow.client.send("0");
  EXPECT_TRUE(ends_after(slow, 60s));
  EXPECT_TRUE(refused(slow, Reason::kClientTimeout, 408));
  EXPECT_TRUE(world.pods.tried.empty());
}

TEST_F(GatheringTimes, ABodyMoreSlowThanTheMinimumRateIsGivenUp) {
  Asking& slow = world.ask("Content-Length: 60000\r\n");
  for (int second = 0; second < 8; ++second) {
    world.advance(1s);
    slow.client.send(std::string(120, 'x'));  // half of the rate: 1 s of the grace of 5 s is left
  }
  EXPECT_TRUE(ends_after(slow, 1s));
  EXPECT_TRUE(refused(slow, Reason::kClientTimeout, 408));
}

TEST_F(GatheringTimes, TheClientsOwnPatienceEndsIt) {
  Asking& slow = world.ask("Content-Length: 10\r\nx-request-deadline-ms: 300\r\n");
  world.advance(299ms);
  EXPECT_EQ(slow.client.status, 0);
  world.advance(1ms);
  EXPECT_EQ(slow.client.status, 408);
  EXPECT_EQ(slow.client.reason, "client_timeout");
}

TEST_F(GatheringTimes, ABodyWithoutALengthJoinsWhenItsClientIsSilent) {
  Asking& streams = world.ask("Transfer-Encoding: chunked\r\n", "a");
  world.advance(99ms);
  streams.client.send("b");
  world.advance(99ms);
  EXPECT_EQ(world.slots_in_use(), 0u) << "each byte starts the time of silence again";
  world.advance(1ms);
  EXPECT_EQ(world.slots_in_use(), 1u);
  EXPECT_EQ(pod().body, "ab");
}

TEST_F(GatheringTimes, ABodyWithoutALengthJoinsWhenItIsWhole) {
  Asking& streams = world.ask("Transfer-Encoding: chunked\r\n", "a");
  streams.client.end_body();
  EXPECT_TRUE(pod().has_all);
}

TEST_F(GatheringTimes, ABodyWithoutALengthJoinsWhenItHasBrought64Kb) {
  Asking& streams = world.ask("Transfer-Encoding: chunked\r\n", std::string(65535, 'a'));
  EXPECT_EQ(world.slots_in_use(), 0u);
  streams.client.send("b");
  EXPECT_EQ(world.slots_in_use(), 1u);
}

TEST_F(GatheringTimes, GrpcAndWhoWaitsFor100JoinAtOnce) {
  Asking& grpc = world.ask("Transfer-Encoding: chunked\r\nContent-Type: application/grpc+proto\r\n");
  EXPECT_EQ(world.slots_in_use(), 1u);
  pod().answer(200);
  grpc.client.end_body();
  Asking& expects = world.ask("Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n");
  EXPECT_EQ(world.slots_in_use(), 1u);
  EXPECT_EQ(expects.client.continues, 1);
}

TEST_F(GatheringTimes, WhoWaitsFor100WithASmallBodyIsToldBeforeTheQueue) {
  world.occupy();
  Asking& expects = world.ask("Content-Length: 10\r\nExpect: 100-continue\r\n");
  EXPECT_EQ(expects.client.continues, 1);
  EXPECT_EQ(world.waiting(), 0u);
  Asking& large = world.ask("Content-Length: 100000\r\nExpect: 100-continue\r\n");
  EXPECT_EQ(large.client.continues, 0) << "a large body is not uploaded before there is a slot";
  EXPECT_EQ(world.waiting(), 1u);
}

TEST_F(GatheringTimes, WhereTooMuchIsGatheredRequestsJoinAtOnce) {
  proxy::GatheringRoom::Share others(world.server.gathering_room());
  EXPECT_TRUE(others.grow(proxy::GatheringRoom::kProcessBytes - 5));
  world.ask("Content-Length: 10\r\n", "012345");
  EXPECT_EQ(world.slots_in_use(), 1u);
}

TEST_F(GatheringTimes, ABodyThatIsMalformedIsRefusedWithoutASlot) {
  Asking& asking = world.ask("Content-Length: 10\r\n", "012");
  asking.client.break_body();
  EXPECT_EQ(asking.client.status, 400);
  EXPECT_EQ(asking.client.reason, "bad_request");
  EXPECT_TRUE(world.pods.tried.empty());
}

}  // namespace
}  // namespace router::test

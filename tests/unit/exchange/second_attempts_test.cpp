// The router makes a second attempt only if the pod provably did not act (contract, section 6; docs/decisions/0007, 0018).

#include "tests/unit/exchange/exchange_world.h"

namespace router::test {
namespace {

using Opening = ScriptedPods::Opening;
using Outcome = dispatch::ReplicaReport::Outcome;
using upstream::Unseen;

/// Two replicas of one slot each.
struct AfterNoConnection : ExchangeTest {
  AfterNoConnection() { world.add_replica("b"); }
  std::vector<std::string> replicas_tried() const {
    std::vector<std::string> names;
    for (const ScriptedPods::Tried& each : world.pods.tried) names.push_back(each.replica);
    return names;
  }
};

/// One replica, whose slot has a connection that has ended.
struct AfterAStaleConnection : ExchangeTest {
  PodConnection& stale(Unseen unseen = Unseen::kProved) {
    const auto connection = world.pods.plan_connection();
    connection->reused = true;
    connection->unseen = unseen;
    return *connection;
  }
};

/// Serves as many requests as a budget for that many second attempts needs. The budget is not used.
void serve(ExchangeWorld& world, int requests) {
  for (int i = 0; i < requests; ++i) {
    world.ask();
    world.pods.last().answer(200);
  }
  world.pods.tried.clear();
}

TEST_F(AfterNoConnection, TheRequestGoesToAnotherReplica) {
  world.pods.plan(Opening::kFails);
  Asking& asking = world.ask("Content-Length: 3\r\n", "abc");
  ASSERT_EQ(world.pods.tried.size(), 2u);
  EXPECT_NE(world.pods.tried[0].replica, world.pods.tried[1].replica);
  EXPECT_EQ(pod().body, "abc");
  EXPECT_FALSE(world.pods.tried[1].options.fresh);
  pod().answer(200);
  EXPECT_EQ(asking.client.status, 200);
  EXPECT_EQ(world.told(), 1u);
  EXPECT_EQ(world.cells().connect_retries(), 1u);
}

TEST_F(AfterNoConnection, ItStaysWhereItIsIfThereIsNoOther) {
  ExchangeWorld alone;
  alone.add_replica("a");
  alone.publish();
  alone.pods.plan(Opening::kFails);
  alone.ask();
  EXPECT_EQ(alone.pods.tried.size(), 2u);
  alone.pods.last().answer(200);
}

TEST_F(AfterNoConnection, ItAvoidsTheReplicaEvenIfThatHasTheLeastToDo) {
  ExchangeWorld other;
  other.add_replica("b", 2);
  other.publish();
  other.occupy();
  other.add_replica("a");
  other.pods.plan(Opening::kFails);
  other.ask();
  ASSERT_EQ(other.pods.tried.size(), 3u);
  EXPECT_EQ(other.pods.tried[1].replica, "a");
  EXPECT_EQ(other.pods.tried[2].replica, "b");
}

TEST_F(AfterNoConnection, ThereIsNoThirdAttempt) {
  serve(world, 20);
  world.pods.plan(Opening::kFails);
  world.pods.plan(Opening::kFails);
  Asking& asking = world.ask();
  EXPECT_EQ(world.pods.tried.size(), 2u);
  EXPECT_EQ(asking.client.status, 502);
  EXPECT_EQ(asking.client.reason, "upstream_connect_failed");
  EXPECT_EQ(world.told(Reason::kUpstreamConnectFailed, 502), 1u);
}

TEST_F(AfterNoConnection, TheBudgetBoundsThem) {
  for (int i = 0; i < 10; ++i) {
    world.pods.plan(Opening::kFails);
    world.pods.plan(Opening::kFails);
  }
  int made = 0;
  for (int requests = 1; requests <= 5; ++requests) {
    const std::size_t before = world.pods.tried.size();
    world.ask();
    made += world.pods.tried.size() - before == 2 ? 1 : 0;
  }
  EXPECT_EQ(made, 1) << "a fifth of the requests of the last ten seconds, rounded up";
}

TEST_F(AfterNoConnection, WhoCameLaterIsServedLater) {
  world.blue.queue_wait_max = 10s;
  world.publish(2);
  world.pods.plan(Opening::kHangs);
  Asking& first = world.ask("Content-Length: 1\r\n", "1");
  world.ask("Content-Length: 1\r\n", "o");
  PodConnection& busy = pod();
  Asking& later = world.ask("Content-Length: 1\r\n", "2");
  world.advance(100ms);
  world.pods.plan_connection();  // for the request that gets the slot that `first` gives up
  world.advance(400ms);
  EXPECT_EQ(pod().body, "2") << "`first` avoids that replica, so the next request gets its slot";
  pod().take_nothing();
  EXPECT_EQ(world.waiting(), 1u);
  Asking& newest = world.ask("Content-Length: 1\r\n", "3");
  busy.answer(200);
  EXPECT_EQ(pod().body, "1") << "`first` kept its position before the requests that came meanwhile";
  pod().answer(200);
  EXPECT_TRUE(first.over);
  EXPECT_EQ(pod().body, "3");
  pod().answer(200);
  world.pods.connections[1]->answer(200);
  world.pods.connections[2]->answer(200);
  EXPECT_TRUE(newest.over);
  EXPECT_TRUE(later.over);
}

TEST_F(AfterNoConnection, TimeInTheQueueBeforeCountsAndTimeSpentConnectingDoesNot) {
  ExchangeWorld alone;
  alone.add_replica("a");
  alone.publish();
  alone.occupy();
  alone.pods.plan(Opening::kHangs);
  Asking& asking = alone.ask();
  alone.advance(300ms);
  alone.pods.last().answer(200);
  EXPECT_EQ(alone.pods.tried.size(), 2u);
  alone.advance(400ms);  // the opening hangs
  alone.ask();
  EXPECT_EQ(alone.waiting(), 1u);
  alone.advance(100ms);  // the opening fails; the request that waits takes the slot
  EXPECT_EQ(alone.pods.tried.size(), 3u);
  EXPECT_EQ(alone.waiting(), 1u);
  alone.advance(199ms);
  EXPECT_FALSE(asking.over);
  alone.advance(1ms);
  EXPECT_EQ(asking.client.reason, "queue_timeout");
}

TEST_F(AfterNoConnection, ItWaitsForWhatIsLeftOfItsTime) {
  world.ask();
  world.ask();
  world.pods.plan(Opening::kRefused);
  Asking& asking = world.ask();
  world.advance(300ms);
  world.pods.connections[0]->answer(200);  // this slot's replica refuses, and the other one is busy
  EXPECT_EQ(world.pods.tried.size(), 3u);
  EXPECT_TRUE(ends_after(asking, 200ms));
  EXPECT_EQ(asking.client.reason, "queue_timeout");
}

TEST_F(AfterNoConnection, TheClientsPatienceIsNotProlonged) {
  world.pods.plan(Opening::kHangs);
  world.pods.plan(Opening::kHangs);
  Asking& asking = world.ask("x-request-deadline-ms: 1200\r\n");
  world.advance(500ms);
  EXPECT_EQ(world.pods.tried.size(), 2u);
  world.pods.let_in();
  EXPECT_TRUE(ends_after(asking, 700ms));
  EXPECT_TRUE(refused(asking, Reason::kUpstreamTimeout, 504));
}

TEST_F(AfterNoConnection, WhatThisMachineRunsShortOfIsNoReasonForAnother) {
  world.pods.plan(Opening::kShortage);
  Asking& asking = world.ask();
  EXPECT_EQ(world.pods.tried.size(), 1u);
  EXPECT_EQ(asking.client.reason, "upstream_connect_failed");
}

TEST_F(AfterNoConnection, ARefusedOneIsOutsideOfTheBudgetAndAsOftenAsItTakes) {
  world.add_replica("c");
  world.add_replica("d");
  for (int i = 0; i < 3; ++i) world.pods.plan(Opening::kRefused);
  Asking& asking = world.ask();
  ASSERT_EQ(world.pods.tried.size(), 4u);
  EXPECT_EQ(world.blue.queue->demand().replicas_refusing, 3u) << "one refusal takes a replica out";
  pod().answer(200);
  EXPECT_EQ(asking.client.status, 200);
  EXPECT_EQ(world.cells().connect_retries(), 0u);
  EXPECT_EQ(world.cells().refused_retries(), 1u);
  world.pods.plan(Opening::kFails);
  world.ask();
  EXPECT_EQ(world.pods.tried.size(), 6u) << "the budget was not touched";
}

TEST_F(AfterNoConnection, WhoIsRefusedEverywhereWaitsForItsTimeInTheQueue) {
  world.pods.plan(Opening::kRefused);
  world.pods.plan(Opening::kRefused);
  Asking& asking = world.ask();
  EXPECT_EQ(world.pods.tried.size(), 2u);
  EXPECT_TRUE(ends_after(asking, 500ms));
  EXPECT_TRUE(refused(asking, Reason::kNoReadyReplica, 503));
}

TEST_F(AfterNoConnection, WhoIsRefusedIsServedOnceAReplicaIsBack) {
  ExchangeWorld alone;
  const auto replica = alone.add_replica("a");
  alone.publish();
  alone.pods.plan(Opening::kRefused);
  Asking& asking = alone.ask();
  alone.advance(400ms);
  alone.blue.queue->readmit(replica);
  alone.poll();
  EXPECT_EQ(alone.pods.tried.size(), 2u) << "a replica that was readmitted is not avoided";
  alone.pods.last().answer(200);
  EXPECT_EQ(asking.client.status, 200);
}

// --- a connection that had ended ---------------------------------------------------------------------------------------------

TEST_F(AfterAStaleConnection, TheRequestGoesOutAgainOverANewOneUnderTheSameSlot) {
  PodConnection& old = stale();
  Asking& asking = world.ask("Content-Length: 3\r\n", "abc");
  EXPECT_EQ(old.body, "abc");
  old.breaks();
  ASSERT_EQ(world.pods.tried.size(), 2u);
  EXPECT_TRUE(world.pods.tried[1].options.fresh);
  EXPECT_EQ(world.pods.tried[1].slot, world.pods.tried[0].slot);
  EXPECT_TRUE(old.closed);
  EXPECT_EQ(pod().path, "/score");
  EXPECT_EQ(pod().body, "abc");
  EXPECT_TRUE(pod().has_all);
  pod().answer(200);
  EXPECT_EQ(asking.client.status, 200);
  EXPECT_EQ(world.cells().stale_retries(), 1u);
  EXPECT_EQ(world.told(), 1u);
}

TEST_F(AfterAStaleConnection, NobodyElseGetsTheSlotMeanwhile) {
  PodConnection& old = stale();
  world.ask();
  world.ask();
  old.breaks();
  EXPECT_EQ(world.waiting(), 1u);
  EXPECT_EQ(world.slots_in_use(), 1u);
}

TEST_F(AfterAStaleConnection, WhatThePodMayHaveSeenIsNotSentAgain) {
  PodConnection& old = stale(Unseen::kNo);
  Asking& asking = world.ask();
  old.breaks();
  EXPECT_EQ(world.pods.tried.size(), 1u);
  EXPECT_TRUE(refused(asking, Reason::kUpstreamReset, 502));
  EXPECT_EQ(old.outcome, Outcome::kFailed);
}

TEST_F(AfterAStaleConnection, AnythingButABrokenConnectionIsNoReason) {
  PodConnection& old = stale();
  Asking& asking = world.ask();
  old.breaks(Failure::upstream(Reason::kUpstreamInvalidResponse, "it does not speak HTTP"));
  EXPECT_EQ(world.pods.tried.size(), 1u);
  EXPECT_TRUE(refused(asking, Reason::kUpstreamInvalidResponse, 502));
  EXPECT_EQ(old.outcome, Outcome::kNone) << "the readiness probe decides about the replica";
}

TEST_F(AfterAStaleConnection, SilenceIsNoReason) {
  stale();
  Asking& asking = world.ask();
  EXPECT_TRUE(ends_after(asking, 5s));
  EXPECT_EQ(world.pods.tried.size(), 1u);
}

TEST_F(AfterAStaleConnection, AStatusIsNoReason) {
  PodConnection& old = stale();
  Asking& asking = world.ask();
  old.answer(503);
  EXPECT_EQ(asking.client.status, 503);
  EXPECT_EQ(world.pods.tried.size(), 1u);
}

TEST_F(AfterAStaleConnection, ThereIsOneSecondAttempt) {
  serve(world, 20);
  PodConnection& old = stale();
  PodConnection& next = stale();
  Asking& asking = world.ask();
  old.breaks();
  next.breaks();
  EXPECT_EQ(world.pods.tried.size(), 2u);
  EXPECT_TRUE(refused(asking, Reason::kUpstreamReset, 502));
  EXPECT_EQ(next.outcome, Outcome::kFailed);
  EXPECT_TRUE(next.closed);
}

TEST_F(AfterAStaleConnection, TheBudgetBoundsThem) {
  for (int request = 0; request < 2; ++request) {
    PodConnection& old = stale();
    world.ask();
    old.breaks();
    pod().answer(200);
  }
  EXPECT_EQ(world.pods.tried.size(), 3u) << "one second attempt for five requests";
}

TEST_F(AfterAStaleConnection, ABodyThatWasNotKeptIsNotSentAgain) {
  PodConnection& old = stale();
  Asking& asking = world.ask("Content-Length: 100000\r\n", std::string(70'000, 'x'));
  old.breaks();
  asking.client.send(std::string(30'000, 'x'));
  EXPECT_EQ(world.pods.tried.size(), 1u);
  EXPECT_EQ(asking.client.reason, "upstream_reset");
  EXPECT_EQ(old.outcome, Outcome::kFailed);
}

TEST_F(AfterAStaleConnection, ABodyIsKeptOnlyWhereItsConnectionMayBeStale) {
  Asking& asking = world.ask("Content-Length: 3\r\n", "abc");
  EXPECT_FALSE(asking.client.kept());
  pod().answer(200);
  stale();
  EXPECT_TRUE(world.ask("Content-Length: 3\r\n", "abc").client.kept());
}

TEST_F(AfterAStaleConnection, ASafeMethodStaysWithItsReplica) {
  world.add_replica("b");
  serve(world, 20);
  PodConnection& old = stale(Unseen::kAssumed);
  world.pods.plan(Opening::kRefused);
  Asking& asking = world.ask_whole("GET /api/v1/endpoint/iris/score HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer key\r\n\r\n");
  old.breaks();
  EXPECT_EQ(world.pods.tried.size(), 2u) << "the request may have ended the connection, so no other replica gets it";
  EXPECT_EQ(world.pods.tried[0].replica, world.pods.tried[1].replica);
  EXPECT_EQ(world.pods.tried[0].options.method, http::Method::kGet);
  EXPECT_EQ(asking.client.reason, "upstream_connect_failed");
}

TEST_F(AfterAStaleConnection, WithProofItGoesElsewhereWhereItsReplicaIsGone) {
  world.add_replica("b");
  serve(world, 20);
  PodConnection& old = stale();
  world.pods.plan(Opening::kFails);
  Asking& asking = world.ask();
  old.breaks();
  ASSERT_EQ(world.pods.tried.size(), 3u);
  EXPECT_NE(world.pods.tried[1].replica, world.pods.tried[2].replica);
  EXPECT_FALSE(world.pods.tried[2].options.fresh) << "the idle connections of that replica may be alive";
  pod().answer(200);
  EXPECT_EQ(asking.client.status, 200);
}

TEST_F(AfterAStaleConnection, AnAnswerThatCameBeforeTheEndIsPassedOn) {
  PodConnection& old = stale();
  Asking& asking = world.ask("Content-Length: 100000\r\n", "x");
  old.refuse_more();
  asking.client.send("y");
  old.answer(413, "too large");
  EXPECT_EQ(asking.client.status, 413);
  EXPECT_EQ(world.pods.tried.size(), 1u);
  EXPECT_TRUE(old.closing) << "the connection cannot be used again";
}

TEST_F(AfterAStaleConnection, AnAnswerThatHasBegunIsCutAndNeverReplaced) {
  Asking& asking = world.ask();
  pod().begin_answer(200);
  pod().send("half");
  pod().breaks();
  EXPECT_EQ(world.pods.tried.size(), 1u);
  EXPECT_TRUE(asking.client.cut);
  EXPECT_EQ(asking.client.answer, "half");
  EXPECT_EQ(world.told(Reason::kUpstreamReset, 200), 1u);
  EXPECT_EQ(pod().outcome, Outcome::kFailed);
}

}  // namespace
}  // namespace router::test

// The steps of the drain, at each state of an exchange (contract, section 10). When the grace for the queue is over, no
// exchange takes a slot any more. When the whole grace is over, the exchanges that still run end.

#include "tests/unit/exchange/exchange_world.h"

namespace router::test {
namespace {

using Opening = ScriptedPods::Opening;
using Outcome = dispatch::ReplicaReport::Outcome;

struct Draining : ExchangeTest {
  ::testing::AssertionResult drained(const Asking& asking) { return refused(asking, Reason::kDraining, 503); }
};

TEST_F(Draining, WhoIsGatheredIsRefused) {
  Asking& asking = world.ask("Content-Length: 10\r\n", "012");
  asking.client.refuse_waiters();
  EXPECT_EQ(asking.client.reason, "draining");
  world.advance(2s);
  EXPECT_TRUE(drained(asking));
  EXPECT_TRUE(world.pods.tried.empty());
}

TEST_F(Draining, WhoWaitsInTheQueueIsRefused) {
  world.occupy();
  Asking& asking = world.ask();
  asking.client.refuse_waiters();
  EXPECT_TRUE(drained(asking));
  EXPECT_EQ(world.waiting(), 0u);
}

TEST_F(Draining, WhoComesLaterTakesNoSlot) {
  Asking& asking = world.hold();
  asking.client.refuse_waiters();
  world.go(asking);
  EXPECT_TRUE(drained(asking));
  EXPECT_TRUE(world.pods.tried.empty());
}

TEST_F(Draining, ASlotThatIsOnItsWayIsNotTaken) {
  world.occupy();
  Asking& asking = world.ask();
  pod().unheard = true;
  pod().answer(200);
  asking.client.refuse_waiters();
  EXPECT_TRUE(drained(asking));
  EXPECT_EQ(world.slots_in_use(), 0u);
  EXPECT_EQ(world.pods.tried.size(), 1u);
}

TEST_F(Draining, ASlotThatComesBeforeTheWordOfTheDrainIsNotTaken) {
  world.occupy();
  Asking& asking = world.ask();
  asking.client.refuse_waiters_unheard();
  pod().answer(200);
  EXPECT_TRUE(drained(asking));
  EXPECT_EQ(world.slots_in_use(), 0u);
  EXPECT_EQ(world.pods.tried.size(), 1u);
}

TEST_F(Draining, ASlotThatWaitsForItsViewIsGivenBack) {
  ExchangeWorld other;
  other.add_replica("b", 1, 2);
  other.publish();
  Asking& asking = other.ask();
  asking.client.refuse_waiters();
  EXPECT_EQ(asking.client.reason, "draining");
  EXPECT_EQ(other.slots_in_use(), 0u);
}

TEST_F(Draining, WhoConnectsGoesOnUntilTheGraceIsOver) {
  world.pods.plan(Opening::kHangs);
  Asking& asking = world.ask();
  asking.client.refuse_waiters();
  EXPECT_FALSE(asking.over) << "it holds its slot";
  asking.client.end_grace();
  EXPECT_TRUE(drained(asking));
}

TEST_F(Draining, WhoCannotReachItsReplicaTakesNoOtherSlot) {
  world.add_replica("b");
  world.pods.plan(Opening::kHangs);
  Asking& asking = world.ask();
  asking.client.refuse_waiters();
  world.advance(500ms);
  EXPECT_TRUE(drained(asking));
  EXPECT_EQ(world.pods.tried.size(), 1u);
}

TEST_F(Draining, WhoSendsItsBodyGoesOnUntilTheGraceIsOver) {
  Asking& asking = world.ask("Content-Length: 100000\r\n", "half of it");
  asking.client.refuse_waiters();
  EXPECT_EQ(asking.client.status, 0);
  asking.client.end_grace();
  EXPECT_EQ(asking.client.reason, "draining");
  EXPECT_TRUE(pod().closing && pod().closed);
  EXPECT_EQ(pod().outcome, Outcome::kNone);
}

TEST_F(Draining, WhoWaitsForItsAnswerGoesOnUntilTheGraceIsOver) {
  Asking& asking = world.ask();
  asking.client.refuse_waiters();
  EXPECT_FALSE(asking.over);
  asking.client.end_grace();
  EXPECT_TRUE(drained(asking));
  EXPECT_TRUE(pod().closing && pod().closed);
  EXPECT_EQ(pod().outcome, Outcome::kNone);
}

TEST_F(Draining, WhoIsAnsweredWithinTheGraceIsServed) {
  Asking& asking = world.ask();
  asking.client.refuse_waiters();
  pod().answer(200);
  EXPECT_EQ(asking.client.status, 200);
  EXPECT_TRUE(pod().rests);
}

TEST_F(Draining, AnAnswerThatHasBegunIsCutWhenTheGraceIsOver) {
  Asking& asking = world.ask();
  pod().begin_answer(200);
  pod().send("half");
  asking.client.refuse_waiters();
  EXPECT_FALSE(asking.over);
  asking.client.end_grace();
  EXPECT_TRUE(asking.over && asking.client.cut && !asking.client.complete);
  EXPECT_TRUE(pod().closing);
  EXPECT_EQ(world.told(Reason::kDraining, 200), 1u);
}

TEST_F(Draining, AClientThatTakesNothingIsCutWhenTheGraceIsOver) {
  Asking& asking = world.ask();
  asking.client.take_nothing();
  pod().begin_answer(200);
  asking.client.end_grace();
  EXPECT_TRUE(asking.over && asking.client.cut);
}

TEST_F(Draining, APodThatDoesNotCloseHoldsNobodyUpForLongerThanAbortWait) {
  world.pods.plan_connection()->deaf = true;
  Asking& asking = world.ask();
  asking.client.end_grace();
  EXPECT_EQ(asking.client.reason, "draining");
  EXPECT_TRUE(ends_after(asking, 250ms));
}

TEST_F(Draining, AnAnswerThatNobodyWaitsForEndsWithTheQueue) {
  world.blue.drain_on_abort = true;
  world.publish(2);
  Asking& asking = world.ask();
  asking.client.leave();
  EXPECT_FALSE(asking.over);
  asking.client.refuse_waiters();
  EXPECT_TRUE(asking.over);
  EXPECT_TRUE(pod().closing && pod().closed);
  EXPECT_EQ(world.told(Reason::kClientClosed, 499), 1u);
}

TEST_F(Draining, ASecondAttemptUnderTheSameSlotIsStillMade) {
  const auto stale = world.pods.plan_connection();
  stale->reused = true;
  stale->unseen = upstream::Unseen::kProved;
  Asking& asking = world.ask();
  asking.client.refuse_waiters();
  stale->breaks();
  EXPECT_EQ(world.pods.tried.size(), 2u);
  pod().answer(200);
  EXPECT_EQ(asking.client.status, 200);
}

TEST_F(Draining, AHealthCheckTellsOfIt) {
  Asking& before = world.ask_whole("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(before.client.status, 200);
  world.server.begin_drain();
  Asking& after = world.ask_whole("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(after.client.status, 503);
  EXPECT_EQ(world.told(), 0u) << "health checks are not counted";
}

}  // namespace
}  // namespace router::test

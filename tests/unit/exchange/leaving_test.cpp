// The client leaves, at each state of its exchange (contract, section 5). In the queue the exchange ends at once. Later its
// connection to the pod is shut down, and the slot is free when the pod has closed, or after abort_wait_ms.

#include "tests/unit/exchange/exchange_world.h"

namespace router::test {
namespace {

using Opening = ScriptedPods::Opening;
using Outcome = dispatch::ReplicaReport::Outcome;

struct Leaving : ExchangeTest {
  /// The exchange ended without an answer, and was accounted for once as left by the client.
  ::testing::AssertionResult gone(const Asking& asking) {
    if (!asking.over) return ::testing::AssertionFailure() << "it has not ended";
    if (world.told(Reason::kClientClosed, 499) != 1)
      return ::testing::AssertionFailure() << "it was not accounted for once as 499";
    if (asking.client.status != 0) return ::testing::AssertionFailure() << "it was answered " << asking.client.status;
    return ::testing::AssertionSuccess();
  }
};

TEST_F(Leaving, WhileItsBodyIsGathered) {
  Asking& asking = world.ask("Content-Length: 10\r\n", "012");
  asking.client.leave();
  EXPECT_TRUE(gone(asking));
  EXPECT_TRUE(world.pods.tried.empty());
}

TEST_F(Leaving, WhileItWaitsInTheQueue) {
  world.occupy();
  Asking& asking = world.ask();
  Asking& next = world.ask();
  EXPECT_EQ(world.waiting(), 2u);
  asking.client.leave();
  EXPECT_TRUE(gone(asking));
  EXPECT_EQ(world.waiting(), 1u);
  pod().answer(200);
  EXPECT_EQ(world.pods.tried.size(), 2u) << "the next request has the slot";
  pod().answer(200);
  EXPECT_EQ(next.client.status, 200);
}

TEST_F(Leaving, WhileASlotIsOnItsWay) {
  world.occupy();
  Asking& asking = world.ask();
  pod().unheard = true;
  pod().answer(200);
  asking.client.leave();
  EXPECT_TRUE(asking.over);
  EXPECT_EQ(world.slots_in_use(), 0u);
}

TEST_F(Leaving, WhileItHasFilledItsBufferInTheQueue) {
  world.occupy();
  Asking& asking = world.ask("Content-Length: 100000\r\n", std::string(65536, 'x'));
  asking.client.leave();
  EXPECT_FALSE(asking.client.watched()) << "it would be woken again and again by bytes that it does not read";
  EXPECT_FALSE(asking.over);
  world.advance(50ms);
  EXPECT_TRUE(gone(asking));
}

TEST_F(Leaving, WhileItWaitsForTheViewOfItsReplica) {
  ExchangeWorld other;
  other.add_replica("b", 1, 2);
  other.publish();
  Asking& asking = other.ask();
  EXPECT_EQ(other.slots_in_use(), 1u);
  asking.client.leave();
  EXPECT_TRUE(asking.over);
  EXPECT_EQ(other.slots_in_use(), 0u);
  EXPECT_EQ(other.told(Reason::kClientClosed, 499), 1u);
}

TEST_F(Leaving, WhileItsConnectionIsMade) {
  world.pods.plan(Opening::kHangs);
  Asking& asking = world.ask();
  EXPECT_EQ(world.slots_in_use(), 1u);
  asking.client.leave();
  EXPECT_TRUE(gone(asking));
  EXPECT_EQ(world.slots_in_use(), 0u);
  EXPECT_EQ(world.pods.tried.size(), 1u);
}

TEST_F(Leaving, WhileItsBodyIsSent) {
  Asking& asking = world.ask("Content-Length: 100000\r\n", "half of it");
  asking.client.leave();
  EXPECT_TRUE(gone(asking));
  EXPECT_TRUE(pod().closing && pod().closed);
  EXPECT_EQ(pod().outcome, Outcome::kNone) << "the pod has done nothing wrong";
}

TEST_F(Leaving, WhileThePodTakesNothing) {
  world.pods.plan_connection()->take_nothing();
  Asking& asking = world.ask("Content-Length: 100000\r\n", "half of it");
  asking.client.leave();
  EXPECT_TRUE(gone(asking));
  EXPECT_TRUE(pod().closing);
}

TEST_F(Leaving, WhileThePodComputes) {
  world.pods.plan_connection()->deaf = true;
  Asking& asking = world.ask("Content-Length: 3\r\n", "abc");
  asking.client.leave();
  EXPECT_TRUE(pod().closing) << "at once";
  EXPECT_TRUE(asking.client.cut);
  EXPECT_EQ(world.slots_in_use(), 1u);
  world.advance(100ms);
  pod().close();
  EXPECT_EQ(world.slots_in_use(), 0u);
  EXPECT_TRUE(gone(asking));
  EXPECT_EQ(pod().outcome, Outcome::kNone);
  EXPECT_EQ(world.cells().aborts_unnoticed(), 0u);
  EXPECT_EQ(world.cells().duration().sum_nanoseconds(), 0u) << "the time that the pod took after that does not count";
}

TEST_F(Leaving, WhileADeafPodComputes) {
  world.pods.plan_connection()->deaf = true;
  Asking& asking = world.ask();
  asking.client.leave();
  world.advance(249ms);
  EXPECT_EQ(world.slots_in_use(), 1u);
  world.advance(1ms);
  EXPECT_EQ(world.slots_in_use(), 0u);
  EXPECT_TRUE(gone(asking));
  EXPECT_EQ(world.cells().aborts_unnoticed(), 1u);
}

TEST_F(Leaving, WhileItsAnswerIsRelayed) {
  Asking& asking = world.ask();
  pod().begin_answer(200);
  pod().send("half");
  asking.client.leave();
  EXPECT_TRUE(asking.over && asking.client.cut);
  EXPECT_TRUE(pod().closing);
  EXPECT_EQ(world.told(Reason::kClientClosed, 200), 1u);
}

TEST_F(Leaving, WhileItTakesNothingOfItsAnswer) {
  Asking& asking = world.ask();
  pod().begin_answer(200);
  asking.client.take_nothing();
  pod().send("half");
  asking.client.vanish();
  EXPECT_TRUE(asking.over);
  EXPECT_TRUE(pod().closing);
  EXPECT_EQ(world.told(Reason::kClientClosed, 200), 1u);
}

TEST_F(Leaving, WhileItsWholeAnswerWaitsForIt) {
  Asking& asking = world.ask();
  asking.client.take_nothing();
  pod().answer(200, "all");
  EXPECT_EQ(world.slots_in_use(), 0u);
  asking.client.vanish();
  EXPECT_TRUE(asking.over);
  EXPECT_TRUE(pod().rests) << "the pod's connection can be used again";
  EXPECT_EQ(world.told(), 1u);
}

TEST_F(Leaving, AfterItsExchangeWasGivenUpWhileThePodSettles) {
  world.pods.plan_connection()->deaf = true;
  Asking& asking = world.ask();
  world.advance(5s);
  EXPECT_EQ(asking.client.status, 504);
  EXPECT_EQ(world.slots_in_use(), 1u);
  asking.client.vanish();
  EXPECT_EQ(world.slots_in_use(), 1u) << "the pod may still be at work";
  world.advance(250ms);
  EXPECT_EQ(world.slots_in_use(), 0u);
  EXPECT_EQ(world.told(Reason::kUpstreamTimeout, 504), 1u);
  EXPECT_EQ(world.told(), 1u);
}

TEST_F(Leaving, BeforeItIsToldToGoOn) {
  Asking& asking = world.hold("Content-Length: 100000\r\nExpect: 100-continue\r\n");
  asking.client.vanish();
  world.go(asking);
  EXPECT_TRUE(gone(asking));
  EXPECT_EQ(world.slots_in_use(), 0u);
  EXPECT_TRUE(pod().path.empty()) << "nothing reaches the pod";
}

// --- drain_on_abort: for pods that must not be aborted -----------------------------------------------------------------------

struct LeavingAPodThatBearsNoAbort : ExchangeTest {
  LeavingAPodThatBearsNoAbort() {
    world.blue.drain_on_abort = true;
    world.publish(2);
  }
};

TEST_F(LeavingAPodThatBearsNoAbort, ItsAnswerIsReadToTheEndUnderTheSlot) {
  Asking& asking = world.ask();
  asking.client.leave();
  EXPECT_FALSE(pod().closing);
  EXPECT_TRUE(asking.client.cut) << "the client's connection ends at once";
  EXPECT_FALSE(asking.over);
  world.advance(3s);
  pod().interim();
  world.advance(1ms);
  pod().begin_answer(200);
  pod().send("half");
  world.advance(50s);
  EXPECT_EQ(world.slots_in_use(), 1u);
  pod().end_answer();
  EXPECT_TRUE(pod().rests) << "the connection can be used again";
  EXPECT_EQ(world.slots_in_use(), 0u);
  EXPECT_TRUE(asking.over);
  EXPECT_EQ(world.told(Reason::kClientClosed, 499), 1u);
  EXPECT_EQ(world.cells().duration().sum_nanoseconds(), 0u);
}

TEST_F(LeavingAPodThatBearsNoAbort, AnAnswerThatHasBegunIsReadToTheEnd) {
  Asking& asking = world.ask();
  pod().begin_answer(200);
  pod().send("half");
  asking.client.leave();
  EXPECT_EQ(world.slots_in_use(), 1u);
  pod().send("more");
  pod().end_answer();
  EXPECT_TRUE(pod().rests && asking.over);
}

TEST_F(LeavingAPodThatBearsNoAbort, APodThatClosesAfterItsAnswerIsWaitedFor) {
  const auto closes = world.pods.plan_connection();
  closes->says_close = closes->deaf = true;
  Asking& asking = world.ask();
  asking.client.leave();
  pod().answer(200);
  EXPECT_FALSE(pod().rests);
  EXPECT_EQ(world.slots_in_use(), 1u);
  pod().close();
  EXPECT_EQ(world.slots_in_use(), 0u);
}

TEST_F(LeavingAPodThatBearsNoAbort, RequestTimeoutStaysInForce) {
  Asking& asking = world.ask();
  asking.client.leave();
  EXPECT_TRUE(ends_after(asking, 5s));
  EXPECT_TRUE(pod().closing && pod().closed);
}

TEST_F(LeavingAPodThatBearsNoAbort, AnInterimAnswerProlongsNothing) {
  Asking& asking = world.ask();
  asking.client.leave();
  world.advance(3s);
  pod().interim();
  EXPECT_TRUE(ends_after(asking, 2s));
}

TEST_F(LeavingAPodThatBearsNoAbort, StreamIdleTimeoutStaysInForce) {
  Asking& asking = world.ask();
  asking.client.leave();
  pod().begin_answer(200);
  world.advance(59s);
  pod().send("x");
  EXPECT_TRUE(ends_after(asking, 60s));
  EXPECT_TRUE(pod().closing);
}

TEST_F(LeavingAPodThatBearsNoAbort, ARequestThatWasNotSentWhollyIsAborted) {
  Asking& asking = world.ask("Content-Length: 100000\r\n", "half of it");
  asking.client.leave();
  EXPECT_TRUE(pod().closing) << "the pod cannot answer it";
  EXPECT_TRUE(asking.over);
}

TEST_F(LeavingAPodThatBearsNoAbort, AnyOtherEndIsAnAbortAsBefore) {
  Asking& asking = world.ask();
  world.advance(5s);
  EXPECT_EQ(asking.client.status, 504);
  EXPECT_TRUE(pod().closing);
}

TEST_F(LeavingAPodThatBearsNoAbort, APodThatBreaksOffEndsIt) {
  Asking& asking = world.ask();
  asking.client.leave();
  pod().breaks();
  EXPECT_TRUE(asking.over);
  EXPECT_EQ(world.told(Reason::kClientClosed, 499), 1u);
}

}  // namespace
}  // namespace router::test

// The timeouts that apply while a request holds a slot (contract, section 5), each to the millisecond.

#include "tests/unit/exchange/exchange_world.h"

namespace router::test {
namespace {

using Outcome = dispatch::ReplicaReport::Outcome;

struct PodTimes : ExchangeTest {};
struct UploadTimes : ExchangeTest {
  Asking& begin_upload(std::string_view fields = "Content-Length: 2000000\r\n") { return world.ask(fields); }
  /// Sends `bytes` bytes each second.
  void keep_sending(Asking& asking, int seconds, std::size_t bytes = 1000) {
    for (int second = 0; second < seconds; ++second) {
      world.advance(1s);
      asking.client.send(std::string(bytes, 'x'));
    }
  }
};
struct ReadingTimes : ExchangeTest {
  /// A client that takes nothing of an answer that has begun.
  Asking& stall() {
    Asking& asking = world.ask();
    asking.client.take_nothing();
    pod().begin_answer(200);
    EXPECT_TRUE(asking.client.blocked());
    return asking;
  }
};

TEST_F(PodTimes, TheAnswersHeadComesWithinRequestTimeoutOfTheLastByteSent) {
  Asking& asking = world.ask("Content-Length: 70000\r\n", std::string(35000, 'x'));
  world.advance(4s);
  asking.client.send(std::string(35000, 'x'));
  EXPECT_TRUE(pod().has_all);
  EXPECT_TRUE(ends_after(asking, 5s)) << "the time of the upload does not count";
  EXPECT_TRUE(refused(asking, Reason::kUpstreamTimeout, 504));
  EXPECT_EQ(pod().outcome, Outcome::kFailed);
  EXPECT_TRUE(pod().closing && pod().closed && !pod().rests);
}

TEST_F(PodTimes, AnAnswerThatHasBegunMayLastForHours) {
  Asking& asking = world.ask("x-request-deadline-ms: 2000\r\n");
  pod().begin_answer(200);
  for (int minutes = 0; minutes < 200; ++minutes) {
    world.advance(59s);
    pod().send("x");
  }
  pod().end_answer();
  EXPECT_TRUE(asking.over && asking.client.complete);
  EXPECT_EQ(world.told(Reason::kNone, 200), 1u);
}

TEST_F(PodTimes, AStreamThatFallsSilentIsCut) {
  Asking& asking = world.ask();
  world.advance(4s);
  pod().begin_answer(200);
  world.advance(50s);
  pod().send("x");
  EXPECT_TRUE(ends_after(asking, 60s));
  EXPECT_TRUE(asking.client.cut && !asking.client.complete);
  EXPECT_EQ(world.told(Reason::kUpstreamTimeout, 200), 1u);
  EXPECT_EQ(pod().outcome, Outcome::kFailed);
}

TEST_F(PodTimes, TheClientsPatienceEndsThePodsTimeAndDoesNotBlameThePod) {
  Asking& asking = world.ask("x-request-deadline-ms: 300\r\n");
  EXPECT_TRUE(ends_after(asking, 300ms));
  EXPECT_TRUE(refused(asking, Reason::kUpstreamTimeout, 504));
  EXPECT_EQ(pod().outcome, Outcome::kNone);
}

TEST_F(PodTimes, APodThatTakesNothingHasRequestTimeout) {
  world.pods.plan_connection()->take_nothing();
  Asking& asking = world.ask("Content-Length: 70000\r\n", "x");
  world.advance(4999ms);
  EXPECT_EQ(asking.client.status, 0);
  world.advance(1ms);
  EXPECT_TRUE(ends_after(asking, 2s)) << "the rest of the body is dropped for 2 s";
  EXPECT_TRUE(refused(asking, Reason::kUpstreamTimeout, 504));
  EXPECT_EQ(pod().outcome, Outcome::kFailed);
}

TEST_F(PodTimes, APodThatReadsNoFurtherMayStillAnswerForRequestTimeout) {
  Asking& asking = world.ask("Content-Length: 70000\r\n", "x");
  world.advance(1s);
  pod().refuse_more();
  asking.client.send("y");
  world.advance(4999ms);
  EXPECT_EQ(asking.client.status, 0);
  world.advance(1ms);
  EXPECT_EQ(asking.client.status, 504);
}

TEST_F(PodTimes, APodThatDoesNotCloseHoldsItsSlotForAbortWait) {
  world.pods.plan_connection()->deaf = true;
  Asking& asking = world.ask();
  world.advance(5s);
  EXPECT_EQ(asking.client.status, 504) << "the answer does not wait for the pod";
  EXPECT_TRUE(pod().closing);
  world.advance(249ms);
  EXPECT_EQ(world.slots_in_use(), 1u);
  world.advance(1ms);
  EXPECT_EQ(world.slots_in_use(), 0u);
  EXPECT_TRUE(asking.over);
  EXPECT_EQ(world.cells().aborts_unnoticed(), 1u);
}

TEST_F(PodTimes, APodThatClosesGivesItsSlotBackAtOnce) {
  world.pods.plan_connection()->deaf = true;
  world.ask();
  world.advance(5s + 100ms);
  pod().close();
  EXPECT_EQ(world.slots_in_use(), 0u);
  EXPECT_EQ(world.cells().aborts_unnoticed(), 0u);
}

TEST_F(PodTimes, AnAnswerAfterWhichThePodClosesWaitsForThatWithoutTheClient) {
  const auto closes = world.pods.plan_connection();
  closes->says_close = closes->deaf = true;
  Asking& asking = world.ask();
  pod().answer(200);
  EXPECT_TRUE(asking.client.complete);
  EXPECT_EQ(world.slots_in_use(), 1u);
  pod().close();
  EXPECT_EQ(world.slots_in_use(), 0u);
  EXPECT_EQ(world.cells().aborts_unnoticed(), 0u);
}

TEST_F(PodTimes, AbortWaitIsNotBegunAnewWhenASlowClientHasItsAnswer) {
  const auto closes = world.pods.plan_connection();
  closes->says_close = closes->deaf = true;
  Asking& asking = world.ask();
  asking.client.take_nothing();
  pod().answer(200);
  world.advance(200ms);
  asking.client.take_all();
  world.advance(49ms);
  EXPECT_EQ(world.slots_in_use(), 1u);
  world.advance(1ms);
  EXPECT_EQ(world.slots_in_use(), 0u);
}

TEST_F(PodTimes, TheConnectionIsOpenedWithTheDeploymentsOwnTimes) {
  world.blue.connect_timeout = 123ms;
  world.blue.abort_wait = 45ms;
  world.publish(2);
  world.ask();
  EXPECT_EQ(world.pods.tried[0].options.connect_timeout, 123ms);
  EXPECT_EQ(world.pods.tried[0].options.abort_wait, 45ms);
  EXPECT_FALSE(world.pods.tried[0].options.fresh);
}

// --- the client's body -------------------------------------------------------------------------------------------------------

TEST_F(UploadTimes, AnUploadHasItsTimeAndASecondForEachMegabyte) {
  Asking& asking = begin_upload();
  keep_sending(asking, 61);
  world.advance(999ms);
  EXPECT_EQ(asking.client.status, 0);
  world.advance(1ms);
  EXPECT_EQ(asking.client.status, 408);
  EXPECT_EQ(asking.client.reason, "client_timeout");
  EXPECT_EQ(pod().outcome, Outcome::kNone) << "the pod has done nothing wrong";
}

TEST_F(UploadTimes, TimeInWhichThePodTakesNothingDoesNotCount) {
  Asking& asking = begin_upload();
  keep_sending(asking, 30);
  pod().take_nothing();
  asking.client.send("x");
  world.advance(4s);
  pod().take_all();
  keep_sending(asking, 31);
  world.advance(999ms);
  EXPECT_EQ(asking.client.status, 0);
  world.advance(1ms);
  EXPECT_EQ(asking.client.status, 408);
}

TEST_F(UploadTimes, AConversationIsNotCut) {
  Asking& asking = begin_upload();
  keep_sending(asking, 10);
  pod().begin_answer(200);
  for (int minute = 0; minute < 10; ++minute) {
    keep_sending(asking, 59);
    pod().send("x");
  }
  EXPECT_FALSE(asking.over);
  EXPECT_FALSE(asking.client.cut);
}

TEST_F(UploadTimes, ABodyThatStopsIsGivenUpAfterBodyTimeout) {
  world.limits.min_body_rate = 0;
  world.limits.body_timeout = 10s;
  world.publish(2);
  Asking& asking = begin_upload();
  world.advance(9s);
  asking.client.send("x");
  world.advance(9999ms);
  EXPECT_EQ(asking.client.status, 0);
  world.advance(1ms);
  EXPECT_EQ(asking.client.status, 408);
}

TEST_F(UploadTimes, ABodyMoreSlowThanTheMinimumRateIsGivenUp) {
  Asking& asking = begin_upload();
  world.advance(4999ms);
  EXPECT_EQ(asking.client.status, 0);
  world.advance(1ms);
  EXPECT_EQ(asking.client.status, 408);
}

TEST_F(UploadTimes, TheFirstByteComesWithinASecondOfThe100) {
  Asking& asking = begin_upload("Content-Length: 2000000\r\nExpect: 100-continue\r\n");
  EXPECT_EQ(asking.client.continues, 1);
  world.advance(999ms);
  EXPECT_EQ(asking.client.status, 0);
  world.advance(1ms);
  EXPECT_EQ(asking.client.status, 408);
}

TEST_F(UploadTimes, ABodyLargerThanItsDeploymentAllowsIsRefusedBeforeOrUnderway) {
  world.blue.request_bytes_max = 70'000;
  world.publish(2);
  EXPECT_TRUE(world.pods.tried.empty());
  Asking& told = world.ask("Content-Length: 70001\r\n");
  EXPECT_EQ(told.client.status, 413);
  EXPECT_TRUE(world.pods.tried.empty());
  Asking& untold = world.ask("Transfer-Encoding: chunked\r\n", std::string(70'000, 'x'));
  EXPECT_EQ(untold.client.status, 0);
  untold.client.send("x");
  EXPECT_EQ(untold.client.status, 413);
  EXPECT_TRUE(pod().closing);
}

// --- the client and its answer -----------------------------------------------------------------------------------------------

TEST_F(ReadingTimes, AClientThatTakesNothingIsLetGoAfterSendTimeout) {
  world.limits.min_send_rate = 0;
  world.limits.send_timeout = 10s;
  world.publish(2);
  Asking& asking = stall();
  EXPECT_TRUE(ends_after(asking, 10s));
  EXPECT_TRUE(asking.client.cut);
  EXPECT_EQ(world.told(Reason::kClientTimeout, 200), 1u);
  EXPECT_EQ(pod().outcome, Outcome::kNone);
}

TEST_F(ReadingTimes, AClientMoreSlowThanTheMinimumRateIsLetGo) {
  Asking& asking = stall();
  world.advance(4s);
  asking.client.take(240);
  world.advance(1s);
  EXPECT_FALSE(asking.over) << "the bytes that it took allow it another second";
  EXPECT_TRUE(ends_after(asking, 1s));
  EXPECT_EQ(world.told(Reason::kClientTimeout, 200), 1u);
}

TEST_F(ReadingTimes, WhileTheClientIsWaitedForThePodIsNotSilent) {
  world.blue.stream_idle_timeout = 1s;
  world.limits.min_send_rate = 0;
  world.publish(2);
  Asking& asking = stall();
  EXPECT_FALSE(pod().awaited()) << "the router does not read bytes that it cannot pass on";
  world.advance(30s);
  EXPECT_FALSE(asking.over);
  asking.client.take_all();
  EXPECT_TRUE(ends_after(asking, 1s)) << "the time runs from the moment when the client took the answer";
  EXPECT_EQ(world.told(Reason::kUpstreamTimeout, 200), 1u);
}

TEST_F(ReadingTimes, ASlowClientHoldsNoSlotOnceItsAnswerHasArrived) {
  world.limits.send_timeout = 10s;
  world.publish(2);
  Asking& asking = world.ask();
  asking.client.take_nothing();
  pod().answer(200, "all of it");
  EXPECT_EQ(world.slots_in_use(), 0u);
  EXPECT_FALSE(asking.over);
  asking.client.take_all();
  EXPECT_TRUE(asking.over && !asking.client.cut);
  EXPECT_EQ(world.told(Reason::kNone, 200), 1u);
}

TEST_F(ReadingTimes, ARefusalThatNobodyTakesIsLetGoAfterSendTimeout) {
  world.limits.send_timeout = 10s;
  world.publish(2);
  Asking& asking = world.ask();
  asking.client.take_nothing();
  world.advance(5s);
  EXPECT_EQ(asking.client.status, 504);
  EXPECT_TRUE(ends_after(asking, 10s));
  EXPECT_TRUE(asking.client.cut);
}

TEST_F(ReadingTimes, WhatIsLeftOfABodyThatNobodyWantsIsDroppedForTwoSeconds) {
  Asking& asking = world.ask("Content-Length: 10\r\nx-request-deadline-ms: 0\r\n", "01");
  EXPECT_EQ(asking.client.reason, "deadline_unmeetable");
  EXPECT_FALSE(asking.over);
  EXPECT_TRUE(ends_after(asking, 2s));
  Asking& sends = world.ask("Content-Length: 10\r\nx-request-deadline-ms: 0\r\n", "01");
  world.advance(1999ms);
  sends.client.send("23456789");
  EXPECT_TRUE(sends.over && !sends.client.cut) << "the connection can serve the next request";
}

TEST_F(ReadingTimes, WhoNeitherTakesItsAnswerNorSendsItsBodyIsLetGoAfterTwoSeconds) {
  world.blue.request_bytes_max = 10;
  world.publish(2);
  Asking& asking = world.ask_whole(
      "POST /api/v1/endpoint/iris/score HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer key\r\nContent-Length: 100\r\n\r\n");
  EXPECT_FALSE(asking.over);
  EXPECT_TRUE(ends_after(asking, 2s));
}

TEST_F(ReadingTimes, WhoMovesIsWaitedForUpToSendTimeout) {
  world.limits.send_timeout = 10s;
  world.publish(2);
  Asking& asking = world.hold("Content-Length: 100\r\nx-request-deadline-ms: 0\r\n");
  asking.client.take_nothing();
  world.go(asking);
  for (int second = 0; second < 9; ++second) {
    world.advance(1s);
    ASSERT_FALSE(asking.over) << second;
    asking.client.send("x");
  }
  EXPECT_TRUE(ends_after(asking, 1s));
  Asking& stands = world.hold("Content-Length: 100\r\nx-request-deadline-ms: 0\r\n");
  stands.client.take_nothing();
  world.go(stands);
  EXPECT_TRUE(ends_after(stands, 2s));
}

}  // namespace
}  // namespace router::test

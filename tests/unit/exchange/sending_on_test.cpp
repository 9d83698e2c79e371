#include "tests/unit/exchange/sending_on_test.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <string>

namespace router::test {
namespace {

using dispatch::NamespaceHome;

class SendingOn : public SendingOnTest {};

TEST_F(SendingOn, TheHomeGetsTheHeadForThePodAndWhatItNeedsToKnow) {
  world.via = http::Via("fleet");
  world.publish(++generation_);
  Asking& asking = world.hold("x-request-deadline-ms: 2000\r\nX-Custom: 1\r\nVia: 1.0 before\r\n");
  asking.client.asks().address = "10.0.0.9";
  world.go(asking);
  ASSERT_EQ(tries(), 1u);
  EXPECT_EQ(tried(), "b");
  EXPECT_EQ(world.slots_in_use(), 0u) << "no slot of this router";
  EXPECT_EQ(pod().path, "/score");
  EXPECT_EQ(pod().field("X-Custom"), "1");
  EXPECT_TRUE(pod().field("x-ir").starts_with("b 0 2000 7 - /iris/blue\t")) << pod().field("x-ir");
  ASSERT_EQ(parts().size(), 5u);
  const std::string id = parts().back();
  EXPECT_EQ(parts(), (std::vector<std::string>{"10.0.0.9", "http", "x", "1.1 fleet", id}));
  for (const char* name : {"x-request-id", "X-Forwarded-For", "X-Forwarded-Host", "x-request-deadline-ms"})
    EXPECT_EQ(pod().field(name), "") << "a field of its own costs the home more";
  EXPECT_EQ(pod().field("Via"), "1.0 before") << "the client's";
  begin_at_pod(pod());
  pod().answer(200, "fine");
  EXPECT_TRUE(asking.over);
  EXPECT_EQ(asking.client.status, 200);
  EXPECT_EQ(asking.client.answer, "fine");
  EXPECT_EQ(asking.client.interims, 0) << "199 is for this router";
  EXPECT_EQ(asking.client.header("azureml-model-deployment"), "blue");
  EXPECT_EQ(asking.client.header("x-request-id"), id);
  EXPECT_TRUE(pod().rests);
  EXPECT_EQ(world.told(Reason::kNone, 200), 1u);
}

TEST_F(SendingOn, AValueThatCannotBeAPartStaysAField) {
  Asking& asking = world.hold("X-Forwarded-For: 10.1.1.1,\t10.1.1.2\r\n");
  asking.client.asks() = {.address = "10.0.0.9", .trusted = true, .tls = true};
  world.go(asking);
  EXPECT_EQ(pod().field("X-Forwarded-For"), "10.1.1.1,\t10.1.1.2, 10.0.0.9");
  ASSERT_EQ(parts().size(), 5u);
  EXPECT_EQ(parts(), (std::vector<std::string>{"", "https", "x", "", parts().back()})) << "no field and no name in Via";
  refuse(pod(), 503, "queue_full");
}

TEST_F(SendingOn, WithoutAFleetFieldsOfItAreDroppedToo) {
  world.blue.home = nullptr;
  world.publish(++generation_);
  Asking& asking = world.ask("x-ir: a 1 - 1 - /a/b\r\nX-IR-Anything: 1\r\nx_ir: 1\r\nx_ir_age-us: 1\r\n");
  EXPECT_EQ(tried(), "a");
  for (const auto& [name, value] : pod().fields) EXPECT_EQ(name.find("ir"), std::string::npos) << name;
  pod().answer(200, "", {{"x-ir-reason", "queue_full"}, {"x-ir", "0 b"}, {"x-fine", "1"}});
  EXPECT_EQ(asking.client.status, 200) << "a pod cannot speak for a router";
  EXPECT_EQ(asking.client.header("x-fine"), "1");
  EXPECT_EQ(asking.client.header("x-ir-reason") + asking.client.header("x-ir"), "");
}

TEST_F(SendingOn, AClientCannotSayWhatARouterSays) {
  world.ask("x-ir: b 5 - 7 - /a/b\r\nX-IR: 5\r\nx-ir-reason: queue_full\r\n");
  const auto& fields = pod().fields;
  EXPECT_EQ(
      std::count_if(fields.begin(), fields.end(), [](const auto& each) { return lower_case(each.first).starts_with("x-ir"); }),
      1);
  EXPECT_EQ(age(), "0");
}

TEST_F(SendingOn, AnswersOfPodsPassWhateverTheirStatus) {
  Asking& asking = world.ask(kSmall, "abc");
  EXPECT_EQ(pod().body, "abc") << "a small body goes with its head";
  begin_at_pod(pod());
  pod().interim();
  pod().answer(503, "busy");
  EXPECT_EQ(asking.client.interims, 1);
  EXPECT_EQ(asking.client.status, 503);
  EXPECT_EQ(asking.client.reason, "");
  EXPECT_EQ(asking.client.answer, "busy");
}

TEST_F(SendingOn, ALocalReplyOfTheHomeBecomesOneOfThisRouter) {
  Asking& asking = world.ask();
  refuse(pod(), 503, "no_ready_replica",
         {{"x-ir-message", "no replica of the deployment is ready: CrashLoop"}, {"Retry-After", "7"}});
  EXPECT_TRUE(refused(asking, Reason::kNoReadyReplica, 503));
  EXPECT_NE(asking.client.answer.find("is ready: CrashLoop"), std::string::npos);
  EXPECT_EQ(asking.client.header("Retry-After"), "7");
  EXPECT_TRUE(pod().rests) << "the connection carries further requests";
}

TEST_F(SendingOn, ALocalReplyHasTheStatusOfThisRoutersProfile) {
  world.status_profile = config::StatusProfile::kManaged;
  world.publish(++generation_);
  Asking& asking = world.ask();
  refuse(pod(), 503, "queue_full");
  EXPECT_TRUE(refused(asking, Reason::kQueueFull, 429));
}

TEST_F(SendingOn, AnUnknownReasonIsInternal) {
  Asking& asking = world.ask();
  refuse(pod(), 500, "something");
  EXPECT_TRUE(refused(asking, Reason::kInternal, 500));
}

TEST_F(SendingOn, ALocalReplyAfterTheBeginningAtThePodIsOneToo) {
  Asking& asking = world.ask();
  begin_at_pod(pod());
  refuse(pod(), 504, "upstream_timeout");
  EXPECT_TRUE(refused(asking, Reason::kUpstreamTimeout, 504));
}

TEST_F(SendingOn, AnAnswerThatWasNotAnnouncedIsNotOne) {
  Asking& asking = world.ask();
  pod().answer(200);
  world.advance(1s);
  EXPECT_TRUE(refused(asking, Reason::kUpstreamInvalidResponse, 502));
}

TEST_F(SendingOn, AHomeThatIsAnotherNamesItAndGetsTheRequestWithItsAge) {
  Asking& asking = world.ask(kSmall, "abc");
  world.advance(30ms);
  refuse(pod(), 421, "home_moved", {{"x-ir-home", "c"}});
  ASSERT_EQ(tries(), 2u) << "at once";
  EXPECT_EQ(tried(), "c");
  EXPECT_EQ(age(), "30000");
  EXPECT_EQ(pod().body, "abc");
  begin_at_pod(pod());
  pod().answer(200);
  EXPECT_EQ(asking.client.status, 200);
}

TEST_F(SendingOn, ARequestThatTheHomeGivesBackAfterItsWordIsSentAgainWithItsBody) {
  Asking& asking = world.ask(kSmall, "abc");
  world.advance(30ms);
  begin_at_pod(pod());
  refuse(pod(), 421, "home_moved", {{"x-ir-home", "c"}});
  ASSERT_EQ(tries(), 2u);
  EXPECT_EQ(tried(), "c");
  EXPECT_EQ(age(), "30000");
  EXPECT_EQ(pod().body, "abc");
  begin_at_pod(pod());
  pod().answer(200);
  EXPECT_EQ(asking.client.status, 200);
}

TEST_F(SendingOn, ARequestThatADrainingHomeGivesBackAfterItsWordIsSentAgainWithItsBody) {
  Asking& asking = world.ask(kSmall, "abc");
  begin_at_pod(pod());
  PodConnection& drains = pod();
  refuse(drains, 421, "home_moved", {{"x-ir-home", "c"}, {"Connection", "close"}});
  drains.close();
  world.advance(1ms);
  ASSERT_EQ(tries(), 2u);
  EXPECT_EQ(pod().body, "abc");
  begin_at_pod(pod());
  pod().answer(200);
  EXPECT_EQ(asking.client.status, 200);
}

TEST_F(SendingOn, ARequestThatTheHomeGivesBackWhenPartOfItsBodyIsGoneIsNotSentAgain) {
  Asking& asking = world.ask(kLarge, std::string(100'000, 'x'));
  begin_at_pod(pod());
  world.advance(1ms);
  EXPECT_EQ(pod().body.size(), 100'000u);
  refuse(pod(), 421, "home_moved", {{"x-ir-home", "c"}});
  pod().close();
  world.advance(1ms);
  EXPECT_EQ(tries(), 1u);
  EXPECT_EQ(asking.client.status, 502);
  EXPECT_EQ(asking.client.reason, "upstream_reset");
  asking.client.leave();
  EXPECT_TRUE(asking.over);
}

TEST_F(SendingOn, AfterThreeTriesThereIsAPause) {
  Asking& asking = world.ask();
  for (std::size_t expected = 1; expected <= 3; ++expected) {
    EXPECT_EQ(tries(), expected);
    refuse(pod(), 421, "home_moved");
  }
  EXPECT_EQ(tries(), 3u);
  world.advance(19ms);
  EXPECT_EQ(tries(), 3u);
  world.advance(1ms);
  EXPECT_EQ(tries(), 4u);
  refuse(pod(), 421, "home_moved");
  for (int looks = 0; looks < 100 && !asking.over; ++looks) {
    world.advance(20ms);
    if (!asking.over) refuse(pod(), 421, "home_moved");
  }
  EXPECT_TRUE(refused(asking, Reason::kQueueTimeout, 503)) << "within the time in the queue";
}

TEST_F(SendingOn, ADeploymentThatTheHomeDoesNotKnowYetIsAskedForAgain) {
  Asking& asking = world.ask();
  refuse(pod(), 404, "deployment_not_found");
  world.advance(19ms);
  EXPECT_EQ(tries(), 1u);
  world.advance(1ms);
  ASSERT_EQ(tries(), 2u);
  begin_at_pod(pod());
  pod().answer(200);
  EXPECT_EQ(asking.client.status, 200);
}

TEST_F(SendingOn, WhatTheHomeDoesNotKnowIsDecidedAgainUnderANewerConfiguration) {
  world.blue.queue_wait_max = 60s;
  world.publish(++generation_);
  Asking& asking = world.ask();
  world.key = "other";  // as little as a removed deployment does it let the request pass
  world.publish(++generation_);
  refuse(pod(), 404, "deployment_not_found");
  world.advance(70ms);
  EXPECT_TRUE(refused(asking, Reason::kUnauthorized, 401));
  EXPECT_EQ(tries(), 1u);
}

TEST_F(SendingOn, ADeploymentThatTheHomeNeverLearnsOfIsNoMistakeOfTheClient) {
  Asking& asking = world.ask();
  while (!asking.over) {
    refuse(pod(), 404, "deployment_not_found");
    world.advance(50ms);
  }
  EXPECT_TRUE(refused(asking, Reason::kQueueTimeout, 503));
}

TEST_F(SendingOn, AClientThatLeavesClosesTheConnectionToTheHome) {
  Asking& asking = world.ask();
  asking.client.leave();
  EXPECT_TRUE(pod().closing);
  EXPECT_TRUE(asking.over);
  EXPECT_EQ(world.told(Reason::kClientClosed, 499), 1u);
}

TEST_F(SendingOn, AClientThatLeavesWhileThePodWorksDoesTheSame) {
  Asking& asking = world.ask();
  begin_at_pod(pod());
  asking.client.leave();
  EXPECT_TRUE(pod().closing);
  EXPECT_TRUE(asking.over);
}

TEST_F(SendingOn, WhileNobodyIsHomeRequestsWait) {
  home_->set(NamespaceHome::kNobody);
  Asking& asking = world.ask();
  EXPECT_EQ(tries(), 0u);
  world.advance(100ms);
  home_->set(1);
  world.advance(20ms);
  ASSERT_EQ(tries(), 1u);
  EXPECT_EQ(tried(), "c");
  EXPECT_EQ(age(), "120000");
  begin_at_pod(pod());
  pod().answer(200);
  EXPECT_EQ(asking.client.status, 200);
}

TEST_F(SendingOn, NobodyIsWaitedForAsLongAsForASlot) {
  home_->set(NamespaceHome::kNobody);
  Asking& asking = world.ask();
  EXPECT_TRUE(ends_after(asking, 500ms));
  EXPECT_TRUE(refused(asking, Reason::kQueueTimeout, 503));
}

TEST_F(SendingOn, AClientThatLeavesWhileNobodyIsHomeEndsTheWait) {
  home_->set(NamespaceHome::kNobody);
  Asking& asking = world.ask();
  asking.client.leave();
  EXPECT_TRUE(asking.over);
}

TEST_F(SendingOn, AMemberThatThisViewDoesNotKnowIsNobody) {
  home_->set(5);
  Asking& asking = world.ask();
  world.advance(40ms);
  EXPECT_EQ(tries(), 0u);
  home_->set(0);
  world.advance(20ms);
  EXPECT_EQ(tries(), 1u);
  begin_at_pod(pod());
  pod().answer(200);
  EXPECT_TRUE(asking.over);
}

TEST_F(SendingOn, WhenTheHomeComesHereTheRequestGoesOnInThisQueue) {
  Asking& asking = world.ask(kSmall, "abc");
  world.advance(100ms);
  home_->set(NamespaceHome::kHere);
  refuse(pod(), 421, "home_moved");
  ASSERT_EQ(tries(), 2u);
  EXPECT_EQ(tried(), "a") << "the replica";
  EXPECT_EQ(pod().body, "abc");
  EXPECT_EQ(pod().field("x-ir"), "");
  pod().answer(200);
  EXPECT_EQ(asking.client.status, 200);
}

TEST_F(SendingOn, TheTimeAtTheOldHomeCountsInThisQueue) {
  home_->set(NamespaceHome::kHere);
  world.occupy();
  home_->set(0);
  Asking& asking = world.ask();
  world.advance(400ms);
  home_->set(NamespaceHome::kHere);
  refuse(pod(), 421, "home_moved");
  EXPECT_EQ(world.waiting(), 1u);
  EXPECT_TRUE(ends_after(asking, 100ms));
  EXPECT_TRUE(refused(asking, Reason::kQueueTimeout, 503));
}

TEST_F(SendingOn, ALargeBodyWaitsUntilThePodIsReached) {
  Asking& asking = world.ask(kLarge, std::string(100'000, 'x'));
  EXPECT_EQ(pod().path, "/score");
  EXPECT_EQ(pod().body, "") << "all of it can still be sent elsewhere";
  refuse(pod(), 421, "home_moved", {{"x-ir-home", "c"}});
  pod().close();
  world.advance(1ms);
  ASSERT_EQ(tries(), 2u);
  begin_at_pod(pod());
  world.advance(1ms);
  EXPECT_EQ(pod().body.size(), 100'000u);
  asking.client.send(std::string(100'000, 'y'));
  EXPECT_EQ(pod().body.size(), 200'000u);
  pod().answer(200);
  EXPECT_EQ(asking.client.status, 200);
}

TEST_F(SendingOn, AClientThatWaitsToSendItsBodyIsToldWhenThePodIsReached) {
  Asking& asking = world.ask("Content-Length: 200000\r\nExpect: 100-continue\r\n");
  EXPECT_EQ(asking.client.continues, 0);
  begin_at_pod(pod());
  EXPECT_EQ(asking.client.continues, 1);
  asking.client.send(std::string(200'000, 'x'));
  pod().answer(200);
  EXPECT_EQ(asking.client.status, 200);
}

TEST_F(SendingOn, ThePodsTimeCountsFromItsBeginning) {
  world.blue.queue_wait_max = 60s;
  world.publish(++generation_);
  Asking& asking = world.ask();
  world.advance(30s);
  begin_at_pod(pod(), "30000000");
  EXPECT_TRUE(ends_after(asking, world.blue.request_timeout + 250ms)) << "the home says so first";
  EXPECT_TRUE(refused(asking, Reason::kUpstreamTimeout, 504));
  EXPECT_EQ(world.cells().queue_wait().sum_nanoseconds(), 30'000'000'000u);
}

TEST_F(SendingOn, TheClientsDeadlineEndsTheWaitAtTheHome) {
  Asking& asking = world.ask("x-request-deadline-ms: 100\r\n");
  world.advance(349ms);
  EXPECT_FALSE(asking.over) << "the home says so first";
  world.advance(251ms);
  EXPECT_TRUE(refused(asking, Reason::kUpstreamTimeout, 504));
}

/// Copies of requests for `blue`, which is served here, to `shadow`, whose home is `b`.
class SendingCopiesOn : public SendingOnTest {
 protected:
  SendingCopiesOn() {
    world.add_shadow();
    world.mirror_percent = 100;
    world.blue.home = nullptr;
    world.shadow.home = home_;
    world.publish(++generation_);
    asking_ = &world.ask(kSmall, "abc");
    world.poll();
  }
  ~SendingCopiesOn() override {
    world.pods.connections.front()->answer(200, "live");
    EXPECT_EQ(asking_->client.answer, "live");
    EXPECT_EQ(world.shadow.queue->demand().slots_in_use, 0u);
  }
  Asking* asking_ = nullptr;
};

TEST_F(SendingCopiesOn, TheHomeServesTheCopyInAnIdleSlot) {
  ASSERT_EQ(tries(), 2u);
  EXPECT_EQ(tried(), "b");
  EXPECT_EQ(pod().body, "abc");
  EXPECT_TRUE(pod().field("x-ir").starts_with("b 0 - 7 copy /iris/shadow\t"));
  begin_at_pod(pod());
  pod().answer(200, "nobody reads it");
  world.advance(2ms);  // an interim answer is followed by a pause
  EXPECT_EQ(world.mirrored(metrics::MirrorResult::kAnswered), 1u);
}

TEST_F(SendingCopiesOn, AHomeWithoutAnIdleSlotMeansNoSlot) {
  refuse(pod(), 503, "queue_full");
  EXPECT_EQ(world.mirrored(metrics::MirrorResult::kNoSlot), 1u);
}

TEST_F(SendingCopiesOn, APodThatFailsThereIsAFailureOfTheCopy) {
  begin_at_pod(pod());
  refuse(pod(), 502, "upstream_reset");
  world.advance(2ms);
  EXPECT_EQ(world.mirrored(metrics::MirrorResult::kFailed), 1u);
}

TEST_F(SendingOn, OnlySoManyWaitAtOneHome) {
  meet({"b"}, 2);
  Asking& first = world.ask();
  PodConnection& at_first = pod();
  Asking& second = world.ask();
  PodConnection& at_second = pod();
  Asking& third = world.ask();
  EXPECT_TRUE(refused(third, Reason::kQueueFull, 503));
  begin_at_pod(at_first);
  Asking& fourth = world.ask();
  EXPECT_FALSE(fourth.over) << "one that has begun at its pod does not wait";
  begin_at_pod(pod());
  pod().answer(200);
  begin_at_pod(at_second);
  at_second.answer(200);
  at_first.answer(200);
  EXPECT_TRUE(first.over && second.over && fourth.over);
}

TEST_F(SendingOn, AnEarlyAnswerEndsTheUpload) {
  Asking& asking = world.ask(kLarge, std::string(100'000, 'x'));
  begin_at_pod(pod());
  pod().answer(413, "too large");
  world.advance(1ms);
  EXPECT_EQ(asking.client.status, 413);
  EXPECT_TRUE(pod().closing || pod().closed);
}

TEST_F(SendingOn, ASlowClientHoldsBackTheHome) {
  Asking& asking = world.ask();
  begin_at_pod(pod());
  asking.client.take_nothing();
  pod().begin_answer(200);
  pod().send(std::string(1000, 'x'));
  EXPECT_FALSE(pod().awaited()) << "nothing is read that the client does not take";
  asking.client.take_all();
  pod().send("y");
  pod().end_answer();
  EXPECT_EQ(asking.client.answer.size(), 1001u);
}

}  // namespace
}  // namespace router::test

#include <gtest/gtest.h>

#include <chrono>

#include "tests/unit/exchange/sending_on_test.h"

/// What becomes of a request whose home goes away or does not answer (docs/decisions/0072-requests-sent-on.md).
namespace router::test {
namespace {

class LostHomes : public SendingOnTest {};

TEST_F(LostHomes, AHomeThatEndsInOrderHasShownThePodNothing) {
  Asking& asking = world.ask(kSmall, "abc");
  world.advance(10ms);
  pod().ends_in_order();
  ASSERT_EQ(tries(), 2u);
  EXPECT_EQ(pod().body, "abc");
  EXPECT_EQ(age(), "10000");
  begin_at_pod(pod());
  pod().answer(200);
  EXPECT_EQ(asking.client.status, 200);
}

TEST_F(LostHomes, AResetProvesNothing) {
  Asking& asking = world.ask(kSmall, "abc");
  pod().breaks();
  EXPECT_EQ(tries(), 1u);
  pod().close();
  EXPECT_TRUE(refused(asking, Reason::kUpstreamReset, 502));
}

TEST_F(LostHomes, AGetIsSentAgainAfterAReset) {
  Asking& asking = world.ask_whole("GET /api/v1/endpoint/iris/score HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer key\r\n\r\n");
  pod().reused = true;
  pod().unseen = upstream::Unseen::kAssumed;
  pod().breaks();
  ASSERT_EQ(tries(), 2u);
  begin_at_pod(pod());
  pod().answer(200);
  EXPECT_EQ(asking.client.status, 200);
}

TEST_F(LostHomes, WhatAnEarlierHomeSaidIsNotTheReasonOfALaterLoss) {
  Asking& asking = world.ask(kSmall, "abc");
  refuse(pod(), 421, "home_moved", {{"x-ir-message", "another router is home"}});
  ASSERT_EQ(tries(), 2u);
  pod().breaks();
  pod().close();
  EXPECT_TRUE(refused(asking, Reason::kUpstreamReset, 502));
  EXPECT_EQ(asking.client.answer.find("another router is home"), std::string::npos) << asking.client.answer;
}

TEST_F(LostHomes, AfterTheBeginningAtThePodALostHomeIsARefusal) {
  Asking& asking = world.ask(kSmall, "abc");
  begin_at_pod(pod());
  pod().ends_in_order();
  EXPECT_EQ(tries(), 1u);
  EXPECT_TRUE(refused(asking, Reason::kUpstreamReset, 502));
}

TEST_F(LostHomes, AfterTheHeadOfTheAnswerALostHomeCutsIt) {
  Asking& asking = world.ask();
  begin_at_pod(pod());
  pod().begin_answer(200);
  pod().send("half");
  pod().breaks();
  EXPECT_TRUE(asking.over);
  EXPECT_TRUE(asking.client.cut);
  EXPECT_EQ(world.told(Reason::kUpstreamReset, 200), 1u);
}

TEST_F(LostHomes, ASilentAnswerThatTheHomeCutsIsATimeout) {
  for (const auto& [silence, reason] : {std::pair<Duration, Reason>{1s, Reason::kUpstreamTimeout},
                                        std::pair<Duration, Reason>{500ms, Reason::kUpstreamReset}}) {
    world.blue.stream_idle_timeout = 1s;
    world.publish(++generation_);
    world.ask();
    begin_at_pod(pod());
    pod().begin_answer(200);
    pod().send("half");
    world.advance(silence - 5ms);  // bytes and the end do not take the same time
    pod().breaks();
    EXPECT_EQ(world.told(reason, 200), 1u) << name_of(reason);
  }
}

TEST_F(LostHomes, AHomeThatIsLostInOrderAndNotReplacedIsNoFaultOfAPod) {
  Asking& asking = world.ask(kSmall, "abc");
  home_->set(dispatch::NamespaceHome::kNobody);
  pod().ends_in_order();
  EXPECT_TRUE(ends_after(asking, 500ms));
  EXPECT_TRUE(refused(asking, Reason::kQueueTimeout, 503));
}

TEST_F(LostHomes, AHomeThatTheFleetHasGivenUpIsNotWaitedFor) {
  world.blue.queue_wait_max = 60s;
  world.publish(++generation_);
  Asking& asking = world.ask(kSmall, "abc");
  world.advance(1s);
  meet({"", "c"});
  EXPECT_FALSE(asking.over) << "its connection may still say that no pod has seen the request";
  EXPECT_TRUE(ends_after(asking, 1s));
  EXPECT_TRUE(refused(asking, Reason::kUpstreamReset, 502));
}

TEST_F(LostHomes, TheNextProcessAtTheAddressOfAHomeThatWasGivenUpSendsTheRequestBack) {
  Asking& asking = world.ask(kSmall, "abc");
  meet({"", "c"});
  home_->set(1);
  world.advance(200ms);
  refuse(pod(), 421, "home_moved", {{"x-ir-home", "b2"}});
  ASSERT_EQ(tries(), 2u);
  EXPECT_EQ(tried(), "c");
  begin_at_pod(pod());
  pod().answer(200);
  EXPECT_EQ(asking.client.status, 200);
}

TEST_F(LostHomes, AHomeThatSaysNothingIsNotWaitedForForever) {
  Asking& asking = world.ask();
  world.advance(500ms + 2 * world.blue.connect_timeout + world.blue.abort_wait + 499ms);
  EXPECT_FALSE(asking.over);
  world.advance(1s);
  EXPECT_TRUE(refused(asking, Reason::kUpstreamTimeout, 504));
}

TEST_F(LostHomes, AHomeThatCannotBeReachedIsTriedAgain) {
  for (int times = 0; times < 7; ++times) world.pods.plan(ScriptedPods::Opening::kRefused);
  Asking& asking = world.ask();
  EXPECT_EQ(tries(), 1u);
  world.advance(50ms);
  EXPECT_EQ(tries(), 2u) << "no refusal and no number of them ejects a router";
  for (int times = 0; times < 6; ++times) world.advance(50ms);
  ASSERT_EQ(tries(), 8u);
  begin_at_pod(pod());
  pod().answer(200);
  EXPECT_EQ(asking.client.status, 200);
}

TEST_F(LostHomes, AHomeThatCannotBeReachedInTimeIsSaidToBeSo) {
  for (int times = 0; times < 20; ++times) world.pods.plan(ScriptedPods::Opening::kRefused);
  Asking& asking = world.ask();
  for (int times = 0; times < 10; ++times) world.advance(50ms);
  EXPECT_TRUE(refused(asking, Reason::kQueueTimeout, 503)) << "no pod has seen it: clients may send it again";
}

}  // namespace
}  // namespace router::test

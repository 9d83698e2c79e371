// What is counted for the autoscaler: requests that have come, and those that were refused for want of capacity.

#include "tests/unit/exchange/exchange_world.h"
#include "tests/unit/exchange/sending_on_test.h"

namespace router::test {
namespace {

using metrics::Offered;

struct OfferedTest : ExchangeTest {
  Offered offered() const { return world.blue.metrics->offered(); }
};
struct OfferedElsewhere : SendingOnTest {
  Offered offered() const { return world.blue.metrics->offered(); }
};

TEST_F(OfferedTest, ARequestHasArrivedOnceItIsAdmitted) {
  world.ask("Content-Length: 3\r\n");  // its body does not come
  EXPECT_EQ(offered(), (Offered{.arrivals = 1}));
  world.ask();
  pod().answer(200);
  world.ask_whole("GET /api/v1/endpoint/iris/swagger.json HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer key\r\n\r\n");
  EXPECT_EQ(offered(), (Offered{.arrivals = 3})) << "whatever its path";
}

TEST_F(OfferedTest, ARequestThatIsNotAdmittedHasNot) {
  world.ask_whole("POST /api/v1/endpoint/iris/score HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer other\r\n\r\n");
  world.ask_whole("POST /api/v1/endpoint/none/score HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer key\r\n\r\n");
  world.ask("azureml-model-deployment: none\r\n");
  world.ask("Content-Length: 1000000000\r\n");
  world.ask("x-request-deadline-ms: 0\r\n");
  world.refuse_head(Failure::downstream(Reason::kBadRequest, "planted"));
  world.advance(2s);  // what the large one has not sent is not waited for
  EXPECT_EQ(world.told(), 6u);
  EXPECT_EQ(offered(), Offered{});
}

TEST_F(OfferedTest, TheRoutersOwnAnswersAreNoRequests) {
  world.ask_whole("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(offered(), Offered{});
}

TEST_F(OfferedTest, ARequestThatTriesAgainHasArrivedOnce) {
  world.pods.plan(ScriptedPods::Opening::kRefused);
  world.ask();
  world.blue.queue->readmit(world.add_replica("b"));
  world.poll();
  pod().answer(200);
  EXPECT_EQ(offered(), (Offered{.arrivals = 1}));
}

TEST_F(OfferedTest, AFullQueueRefusesAndTells) {
  world.blue.queue->set_options({.length_max = 0});
  world.occupy();
  Asking& refused_one = world.ask();
  EXPECT_TRUE(refused(refused_one, Reason::kQueueFull, 503));
  EXPECT_EQ(refused_one.client.header("Retry-After"), "1");
  EXPECT_EQ(offered(), (Offered{.arrivals = 2, .refusals = 1, .told_seconds = 1}));
}

TEST_F(OfferedTest, ARequestThatWaitedInVainWasRefused) {
  world.occupy();
  Asking& waits = world.ask();
  world.advance(499ms);
  EXPECT_EQ(offered().refusals, 0u);
  world.advance(1ms);
  EXPECT_TRUE(refused(waits, Reason::kQueueTimeout, 503));
  EXPECT_EQ(offered(), (Offered{.arrivals = 2, .refusals = 1, .told_seconds = 1}));
}

TEST_F(OfferedTest, TheSumOfWhatTheyWereToldIsWhatTheAnswersSay) {
  world.blue.request_timeout = 60s;
  world.publish(2);
  for (int exchange = 0; exchange < 20; ++exchange) {  // the pace is known: 3 s each
    world.ask();
    world.advance(3s);
    pod().answer(200);
  }
  world.occupy();
  Asking& waits = world.ask();
  world.advance(500ms);
  EXPECT_TRUE(refused(waits, Reason::kQueueTimeout, 503));
  EXPECT_EQ(waits.client.header("Retry-After"), "3");
  world.blue.queue->set_options({.length_max = 0});
  world.ask();
  EXPECT_EQ(offered(), (Offered{.arrivals = 23, .refusals = 2, .told_seconds = 6}));
}

TEST_F(OfferedTest, ADeploymentWithoutReadyReplicaRefuses) {
  ExchangeWorld other;
  other.publish();
  Asking& asking = other.ask();
  EXPECT_EQ(asking.client.reason, "no_ready_replica");
  EXPECT_EQ(other.blue.metrics->offered(), (Offered{.arrivals = 1, .refusals = 1, .told_seconds = 1}));
}

TEST_F(OfferedTest, WhatAPodOrTheClientDoesIsNoRefusal) {
  Asking& leaves = world.ask();
  leaves.client.leave();
  pod().close();
  world.advance(1s);
  Asking& fails = world.ask();
  pod().breaks();
  world.advance(1s);
  EXPECT_TRUE(fails.over);
  world.ask();
  pod().answer(503);
  EXPECT_EQ(offered(), (Offered{.arrivals = 3}));
}

TEST_F(OfferedTest, AMirroredCopyIsNoRequest) {
  world.add_shadow();
  world.mirror_percent = 100;
  world.publish(2);
  world.shadow.queue->set_counting(true);
  world.ask("Content-Length: 3\r\n", "abc");
  world.poll();
  EXPECT_EQ(world.pods.tried.size(), 2u);
  world.advance(2s);
  EXPECT_EQ(offered(), (Offered{.arrivals = 1}));
  EXPECT_EQ(world.shadow.metrics->offered(), Offered{});
  EXPECT_EQ(world.shadow.queue->integrals(), dispatch::QueueIntegrals{});
}

TEST_F(OfferedElsewhere, ARequestThatIsSentOnHasArrivedHere) {
  Asking& asking = world.ask();
  begin_at_pod(pod());
  pod().answer(200);
  EXPECT_TRUE(asking.over);
  EXPECT_EQ(offered(), (Offered{.arrivals = 1}));
}

TEST_F(OfferedElsewhere, WhatTheHomeHasRefusedIsCountedThere) {
  Asking& asking = world.ask();
  refuse(pod(), 503, "waking", {{"Retry-After", "170"}});
  EXPECT_EQ(asking.client.reason, "waking");
  EXPECT_EQ(asking.client.header("Retry-After"), "170");
  EXPECT_EQ(offered(), (Offered{.arrivals = 1}));
}

TEST_F(OfferedElsewhere, WhatFindsNoHomeIsRefusedHere) {
  home_->set(dispatch::NamespaceHome::kNobody);
  Asking& asking = world.ask();
  world.advance(20ms);
  for (int step = 0; step < 30; ++step) world.advance(20ms);
  EXPECT_EQ(asking.client.reason, "queue_timeout");
  EXPECT_EQ(offered(), (Offered{.arrivals = 1, .refusals = 1, .told_seconds = 1}));
}

TEST_F(OfferedElsewhere, AlsoIfAHomeHasRefusedItForAnotherReason) {
  Asking& asking = world.ask();
  while (!asking.over) {
    refuse(pod(), 404, "deployment_not_found");
    world.advance(50ms);
  }
  EXPECT_EQ(asking.client.reason, "queue_timeout");
  EXPECT_EQ(offered(), (Offered{.arrivals = 1, .refusals = 1, .told_seconds = 1}));
}

TEST_F(OfferedElsewhere, ARequestThatComesHomeHasArrivedOnce) {
  Asking& asking = world.ask();
  home_->set(dispatch::NamespaceHome::kHere);
  refuse(pod(), 421, "home_moved");
  world.advance(20ms);
  EXPECT_EQ(tried(), "a");
  pod().answer(200);
  EXPECT_TRUE(asking.over);
  EXPECT_EQ(offered(), (Offered{.arrivals = 1}));
}

}  // namespace
}  // namespace router::test

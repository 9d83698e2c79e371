// Requests that are held for a first replica: how long, with how much memory, and what they are told in the end.

#include "router/proxy/holding.h"

#include "tests/unit/exchange/exchange_world.h"
#include "tests/unit/exchange/sending_on_test.h"

namespace router::test {
namespace {

struct HoldingTest : testing::Test {
  HoldingTest() {
    world.blue.hold = 120s;
    world.blue.held_bytes = bytes;
    world.blue.queue->set_options({.length_max = 1, .waking_max = 3});
    world.publish(++generation);
    wake(30s);
  }
  ~HoldingTest() override {
    world.end_everything();
    EXPECT_EQ(world.slots_in_use(), 0u);
    EXPECT_EQ(waking(), 0u);
    EXPECT_EQ(bytes->bytes(), 0u);
  }
  void wake(Duration pod_start) { world.blue.queue->set_waking(dispatch::Awakening{pod_start, world.shard.now()}); }
  std::size_t waking() const { return world.blue.queue->demand().waking; }
  PodConnection& pod() { return world.pods.last(); }
  testing::AssertionResult refused(const Asking& asking, const char* reason, const char* retry_after, int status = 503) {
    const test::ScriptedClient& client = asking.client;
    if (asking.over && client.status == status && client.reason == reason && client.header("Retry-After") == retry_after) {
      return testing::AssertionSuccess();
    }
    return testing::AssertionFailure() << client.status << ' ' << client.reason << ' ' << client.header("Retry-After");
  }
  /// It is held until `time` has passed, and not 1 ms longer.
  testing::AssertionResult held_for(const Asking& asking, Duration time) {
    world.advance(time - 1ms);
    if (asking.over) return testing::AssertionFailure() << "it ended too early";
    world.advance(1ms);
    return asking.over ? testing::AssertionSuccess() : testing::AssertionFailure() << "it has not ended";
  }

  const std::shared_ptr<dispatch::HeldBytes> bytes = std::make_shared<dispatch::HeldBytes>();
  std::uint64_t generation = 0;
  ExchangeWorld world;
};

TEST_F(HoldingTest, ARequestWaitsUntilTheFirstReplicaIsReady) {
  Asking& asking = world.ask("Content-Length: 3\r\n", "abc");
  EXPECT_EQ(waking(), 1u);
  EXPECT_EQ(world.waiting(), 0u);
  world.advance(100s);
  EXPECT_FALSE(asking.over);
  world.add_replica("a");
  world.poll();
  EXPECT_EQ(waking(), 0u);
  world.advance(4s);  // its request timeout has begun now
  pod().answer(200);
  EXPECT_EQ(asking.client.status, 200);
  EXPECT_EQ(pod().body, "abc");
}

TEST_F(HoldingTest, ItWaitsAsLongAsItsDeploymentSays) {
  Asking& asking = world.ask();
  EXPECT_TRUE(held_for(asking, 120s));
  EXPECT_TRUE(refused(asking, "no_ready_replica", "1")) << "the replica is late";
  EXPECT_EQ(world.told(Reason::kNoReadyReplica, 503), 1u);
}

TEST_F(HoldingTest, TheTimeOfHoldingGoesOnAfterTheFirstReplicaIsReady) {
  world.ask();
  Asking& second = world.ask();
  world.advance(60s);
  world.add_replica("a");
  world.blue.queue->set_waking(std::nullopt);
  world.poll();
  EXPECT_EQ(waking(), 1u);
  pod().begin_answer(200);
  for (int step = 0; step < 59; ++step) {
    world.advance(1s);
    pod().send("x");
  }
  EXPECT_FALSE(second.over);
  EXPECT_TRUE(held_for(second, 1s));
  EXPECT_TRUE(refused(second, "no_ready_replica", "1"));
}

TEST_F(HoldingTest, LessByTheClientsDeadline) {
  Asking& asking = world.ask("x-request-deadline-ms: 7000\r\n");
  EXPECT_TRUE(held_for(asking, 7s));
  EXPECT_TRUE(refused(asking, "no_ready_replica", "23"));
}

TEST_F(HoldingTest, LessByTheClientsPreference) {
  Asking& asking = world.ask("Prefer: respond-async, wait=5\r\n");
  EXPECT_TRUE(held_for(asking, 5s));
  EXPECT_TRUE(refused(asking, "no_ready_replica", "25"));
}

TEST_F(HoldingTest, APreferenceSaysNothingToARequestThatIsNotHeld) {
  world.add_replica("a");
  world.occupy();
  Asking& waits = world.ask("Prefer: wait=0\r\n");
  world.advance(499ms);
  EXPECT_FALSE(waits.over);
  world.advance(1ms);
  EXPECT_EQ(waits.client.reason, "queue_timeout");
}

TEST_F(HoldingTest, BeyondTheirNumberTheyAreRefusedAtOnce) {
  for (int held = 0; held < 3; ++held) world.ask();
  world.advance(10s);
  Asking& fourth = world.ask();
  EXPECT_TRUE(refused(fourth, "waking", "20"));
  EXPECT_EQ(world.blue.metrics->offered(), (metrics::Offered{.arrivals = 4, .refusals = 1, .told_seconds = 20}));
}

TEST_F(HoldingTest, BeyondTheirMemoryTheyAreRefusedAtOnce) {
  world.limits.max_held_bytes = 3000;
  world.publish(++generation);
  const std::string body(2000, 'b');
  Asking& first = world.ask("Content-Length: 2000\r\n", body);
  EXPECT_GT(bytes->bytes(), 2000u + 60) << "its head, too";
  EXPECT_LT(bytes->bytes(), 2000u + 200);
  Asking& second = world.ask("Content-Length: 2000\r\n", body);
  EXPECT_TRUE(refused(second, "waking", "30"));
  EXPECT_EQ(waking(), 1u);
  Asking& third = world.ask();
  EXPECT_FALSE(third.over) << "there is room for a small one";
  first.client.leave();
  Asking& fourth = world.ask("Content-Length: 2000\r\n", body);
  EXPECT_FALSE(fourth.over) << "the memory of the first is free";
}

TEST_F(HoldingTest, WhatArrivesMeanwhileCounts) {
  world.limits.max_held_bytes = 30'000;
  world.publish(++generation);
  Asking& asking = world.ask("Content-Length: 200000\r\n");
  EXPECT_LT(bytes->bytes(), 200u);
  asking.client.send(std::string(20'000, 'b'));
  EXPECT_GT(bytes->bytes(), 20'000u);
  EXPECT_FALSE(asking.over);
  asking.client.send(std::string(20'000, 'b'));
  EXPECT_EQ(asking.client.reason, "waking");
  EXPECT_EQ(bytes->bytes(), 0u);
  world.advance(2s);  // the rest of its body is dropped
  EXPECT_TRUE(refused(asking, "waking", "30"));
}

TEST_F(HoldingTest, AManagedEndpointAnswersAsItsProfileSays) {
  world.status_profile = config::StatusProfile::kManaged;
  world.blue.queue->set_options({.length_max = 1, .waking_max = 0});
  world.publish(++generation);
  Asking& asking = world.ask();
  EXPECT_TRUE(refused(asking, "waking", "30", 424));
  EXPECT_EQ(asking.client.header("ms-azureml-model-error-reason"), "model_not_ready");
}

TEST_F(HoldingTest, AClientThatLeavesIsNotHeldAnyMore) {
  Asking& asking = world.ask();
  asking.client.leave();
  EXPECT_TRUE(asking.over);
  EXPECT_EQ(waking(), 0u);
  EXPECT_EQ(world.told(Reason::kClientClosed, 499), 1u);
}

TEST_F(HoldingTest, AReplicaThatRefusesItsFirstConnectionsCostsNoRequest) {
  Asking& asking = world.ask();
  world.advance(30s);
  world.pods.plan(ScriptedPods::Opening::kRefused);
  const auto replica = world.add_replica("a");
  world.poll();
  EXPECT_EQ(world.pods.tried.size(), 1u);
  EXPECT_EQ(waking(), 1u) << "it is held again, with the rest of its time";
  world.advance(5s);
  EXPECT_FALSE(asking.over);
  world.blue.queue->readmit(replica);
  world.poll();
  pod().answer(200);
  EXPECT_EQ(asking.client.status, 200);
}

TEST_F(HoldingTest, TheSwaggerPageWakesToo) {
  world.ask_whole("GET /api/v1/endpoint/iris/swagger.json HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer key\r\n\r\n");
  EXPECT_EQ(waking(), 1u);
  EXPECT_TRUE(world.blue.queue->take_wake());
}

TEST_F(HoldingTest, AMirroredCopyWakesNobody) {
  world.add_replica("a");
  world.mirror_percent = 100;
  world.shadow.hold = 120s;
  world.publish(++generation);
  world.shadow.queue->set_waking(dispatch::Awakening{30s, {}});
  world.ask("Content-Length: 3\r\n", "abc");
  world.poll();
  pod().answer(200);
  EXPECT_EQ(world.shadow.queue->demand().waking, 0u);
  EXPECT_FALSE(world.shadow.queue->take_wake());
  EXPECT_EQ(world.mirrored(metrics::MirrorResult::kNoSlot), 1u);
}

TEST_F(HoldingTest, ADeploymentThatIsNotScaledHoldsNothing) {
  world.blue.queue->set_waking(std::nullopt);
  Asking& asking = world.ask();
  EXPECT_TRUE(refused(asking, "no_ready_replica", "1"));
}

// --- the home is another router ----------------------------------------------------------------------------------------------

struct HeldAtTheHome : SendingOnTest {
  HeldAtTheHome() {
    world.blue.hold = 120s;
    world.blue.held_bytes = std::make_shared<dispatch::HeldBytes>();
    world.blue.queue->set_replicas({});
    world.blue.queue->set_waking(dispatch::Awakening{30s, world.shard.now()});
    world.publish(++generation_);
  }
};

TEST_F(HeldAtTheHome, TheHomeHasTheTimeOfHoldingToAnswer) {
  Asking& asking = world.ask("Prefer: wait=60\r\n");
  EXPECT_EQ(tried(), "b");
  EXPECT_EQ(world.blue.queue->demand().waking, 0u) << "it is held there";
  world.advance(60s);
  EXPECT_FALSE(asking.over) << "the home ends it";
  begin_at_pod(pod());
  pod().answer(200);
  EXPECT_EQ(asking.client.status, 200);
}

TEST_F(HeldAtTheHome, AlsoIfThisRouterSeesAReadyReplica) {
  world.add_replica("a");
  Asking& asking = world.ask();
  world.advance(100s);
  EXPECT_FALSE(asking.over);
  refuse(pod(), 503, "no_ready_replica", {{"Retry-After", "7"}});
  EXPECT_EQ(asking.client.reason, "no_ready_replica");
  EXPECT_EQ(asking.client.header("Retry-After"), "7");
}

TEST_F(HeldAtTheHome, AHomeThatMovesMeanwhileIsFollowed) {
  Asking& asking = world.ask();
  world.advance(40s);
  refuse(pod(), 421, "home_moved", {{"x-ir-home", "c"}});
  world.poll();
  EXPECT_EQ(tried(), "c");
  EXPECT_EQ(age(), "40000000");
  begin_at_pod(pod());
  pod().answer(200);
  EXPECT_EQ(asking.client.status, 200);
}

TEST_F(HeldAtTheHome, AHomeThatComesHereHoldsItHereForTheRestOfItsTime) {
  Asking& asking = world.ask();
  world.advance(40s);
  home_->set(dispatch::NamespaceHome::kHere);
  refuse(pod(), 421, "home_moved");
  world.advance(20ms);
  EXPECT_EQ(world.blue.queue->demand().waking, 1u);
  world.advance(80s - 20ms - 1ms);
  EXPECT_FALSE(asking.over);
  world.advance(1ms);
  EXPECT_TRUE(asking.over);
  EXPECT_EQ(asking.client.reason, "no_ready_replica");
}

TEST_F(HeldAtTheHome, OneThatIsHeldHereGoesWithTheHome) {
  home_->set(dispatch::NamespaceHome::kHere);
  Asking& asking = world.ask();
  EXPECT_EQ(world.blue.queue->demand().waking, 1u);
  world.advance(40s);
  home_->set(0);
  world.blue.queue->set_home(false);
  world.poll();
  EXPECT_EQ(tried(), "b");
  EXPECT_EQ(age(), "40000000");
  world.advance(60s);
  EXPECT_FALSE(asking.over);
  begin_at_pod(pod());
  pod().answer(200);
  EXPECT_EQ(asking.client.status, 200);
}

TEST_F(HeldAtTheHome, WhereTooManyWaitThereTheReasonIsTheSame) {
  meet({"b"}, 1);
  world.ask();
  Asking& second = world.ask();
  EXPECT_EQ(second.client.reason, "waking");
  EXPECT_EQ(second.client.header("Retry-After"), "30");
}

// --- Prefer -----------------------------------------------------------------------------------------------------------------

std::optional<Duration> wait_in(std::vector<std::string_view> values) {
  http::Fields fields;
  fields.add({"X-Other", "wait=1", http::Field::kOther});
  for (const std::string_view value : values) fields.add({"prefer", value, http::Field::kOther});
  return proxy::preferred_wait(fields);
}

TEST(PreferredWait, IsReadAsTheStandardSays) {
  EXPECT_EQ(wait_in({}), std::nullopt);
  EXPECT_EQ(wait_in({"wait=10"}), Duration(10s));
  EXPECT_EQ(wait_in({"respond-async , Wait = \"10\" ; x=1"}), Duration(10s));
  EXPECT_EQ(wait_in({"return=minimal", "wait=3, wait=4"}), Duration(3s)) << "the first one counts";
  EXPECT_EQ(wait_in({"wait=0"}), Duration(0s));
  EXPECT_EQ(wait_in({"wait=99999999999999999999999"}), Duration(24h));
}

TEST(PreferredWait, IsIgnoredIfItIsNone) {
  for (const char* value :
       {"", ",", "wait", "wait=", "wait=-1", "wait=1.5", "wait=\"\"", "wait=\"", "waits=1", "=1", ";wait=1"}) {
    EXPECT_EQ(wait_in({value}), std::nullopt) << value;
  }
}

}  // namespace
}  // namespace router::test

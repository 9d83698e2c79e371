// Copies for a mirrored deployment (contract, section 8), from the live exchange that collects one to its end. No client
// notices them, and each is counted once.

#include "tests/unit/exchange/exchange_world.h"

namespace router::test {
namespace {

using metrics::MirrorResult;
using Opening = ScriptedPods::Opening;
using Outcome = dispatch::ReplicaReport::Outcome;

struct Mirroring : ExchangeTest {
  Mirroring() {
    shadow = world.add_shadow();
    world.mirror_percent = 100;
    world.shadow.score_path = "/other";
    world.publish(2);
  }
  ~Mirroring() override {
    EXPECT_EQ(world.server.mirrors().sending(), 0u);
    EXPECT_EQ(shadow_slots(), 0u);
  }
  std::size_t shadow_slots() const { return world.shadow.queue->demand().slots_in_use; }
  /// A request whose copy has been sent. `pod()` is the copy's connection, the one before it the request's.
  Asking& ask_both() {
    Asking& asking = world.ask("Content-Length: 3\r\n", "abc");
    world.poll();
    return asking;
  }
  PodConnection& live() { return *world.pods.connections.front(); }
  ::testing::AssertionResult counted(MirrorResult result) {
    if (world.mirrored(result) != 1) return ::testing::AssertionFailure() << world.mirrored(result);
    if (world.mirrored() != 1) return ::testing::AssertionFailure() << "other copies were counted, too";
    return ::testing::AssertionSuccess();
  }
  /// The live request is served, whatever the result of its copy.
  ::testing::AssertionResult live_is_served(Asking& asking) {
    live().answer(200, "live");
    if (asking.client.status != 200 || asking.client.answer != "live")
      return ::testing::AssertionFailure() << asking.client.status;
    if (world.told() != 1) return ::testing::AssertionFailure() << "accounted for " << world.told() << " times";
    return ::testing::AssertionSuccess();
  }

  std::shared_ptr<upstream::Replica> shadow;
};

TEST_F(Mirroring, ACopyIsSentOnceItsRequestIsComplete) {
  Asking& asking = world.ask("Content-Length: 100000\r\n", std::string(99'999, 'x'));
  world.poll();
  EXPECT_EQ(world.pods.tried.size(), 1u);
  asking.client.send("y");
  ASSERT_EQ(world.pods.tried.size(), 2u);
  EXPECT_EQ(pod().path, "/other");
  EXPECT_EQ(pod().body, std::string(99'999, 'x') + "y");
  pod().answer(500, "nobody reads it");
  EXPECT_TRUE(pod().rests);
  EXPECT_EQ(pod().outcome, Outcome::kSucceeded);
  EXPECT_TRUE(counted(MirrorResult::kAnswered));
  EXPECT_TRUE(live_is_served(asking));
}

TEST_F(Mirroring, ARequestThatWasNeverCompleteIsNotCopied) {
  Asking& asking = world.ask("Content-Length: 100000\r\n", "half of it");
  asking.client.leave();
  world.poll();
  EXPECT_TRUE(counted(MirrorResult::kIncomplete));
  EXPECT_EQ(world.pods.tried.size(), 1u);
}

TEST_F(Mirroring, ACopyThatCannotBecomeCompleteIsDroppedWithTheAnswer) {
  Asking& asking = world.ask("Content-Length: 100000\r\n", "half of it");
  live().answer(413, "enough");
  EXPECT_EQ(asking.client.status, 413);
  EXPECT_FALSE(asking.over) << "the rest of the upload is waited for";
  EXPECT_TRUE(counted(MirrorResult::kIncomplete)) << "its memory is needed by others";
}

TEST_F(Mirroring, ACopyTakesASlotOnlyIfOneIsFree) {
  dispatch::HeldSlot taken = world.shadow.queue->take_idle(world.shard);
  Asking& asking = ask_both();
  EXPECT_EQ(world.pods.tried.size(), 1u);
  EXPECT_EQ(world.shadow.queue->demand().waiting, 0u);
  EXPECT_TRUE(counted(MirrorResult::kNoSlot));
  EXPECT_TRUE(live_is_served(asking));
}

TEST_F(Mirroring, ACopyIsNotSentToAReplicaOfANewerConfiguration) {
  world.shadow.queue->set_replicas({});
  ExchangeWorld other;
  other.mirror_percent = 100;
  other.add_replica("a");
  other.publish();
  const auto newer = make_replica("n", 1, 9);
  other.shadow.queue->set_replicas({newer});
  other.shadow.queue->set_ready(newer, true);
  other.ask();
  other.poll();
  EXPECT_EQ(other.pods.tried.size(), 1u);
  EXPECT_EQ(other.mirrored(MirrorResult::kNoSlot), 1u);
}

TEST_F(Mirroring, ABodyThatIsTooLargeIsNotCopied) {
  Asking& told = world.ask("Content-Length: 1000000\r\n");
  EXPECT_TRUE(counted(MirrorResult::kTooLarge));
  told.client.leave();
  Asking& untold = world.ask("Transfer-Encoding: chunked\r\n", std::string(1'000'000, 'x'));
  untold.client.end_body();
  world.poll();
  EXPECT_EQ(world.pods.tried.size(), 2u) << "no copy";
  pod().answer(200);
  EXPECT_EQ(untold.client.status, 200);
  EXPECT_EQ(world.mirrored(MirrorResult::kTooLarge), 2u);
}

TEST_F(Mirroring, CopiesHaveSoMuchMemoryTogether) {
  world.add_replica("more", 0);
  for (int i = 0; i < 64; ++i) world.ask("Content-Length: 990000\r\n");
  EXPECT_EQ(world.mirrored(), 0u);
  world.ask("Content-Length: 990000\r\n");
  EXPECT_TRUE(counted(MirrorResult::kNoMemory));
}

TEST_F(Mirroring, ACopyWhoseConnectionCannotBeMadeHasFailed) {
  world.pods.plan_connection();
  world.pods.plan(Opening::kHangs);
  Asking& asking = ask_both();
  world.advance(499ms);
  EXPECT_EQ(shadow_slots(), 1u);
  world.advance(1ms);
  EXPECT_EQ(shadow_slots(), 0u);
  EXPECT_EQ(world.pods.tried.size(), 2u) << "no second attempt";
  EXPECT_TRUE(counted(MirrorResult::kFailed));
  EXPECT_TRUE(live_is_served(asking));
}

TEST_F(Mirroring, ACopyThatItsPodDoesNotTakeHasRequestTimeout) {
  world.blue.request_timeout = 1h;
  world.publish(3);
  world.pods.plan_connection();
  world.pods.plan_connection()->take_nothing();
  Asking& asking = ask_both();
  world.advance(4999ms);
  EXPECT_EQ(shadow_slots(), 1u);
  world.advance(1ms);
  EXPECT_EQ(shadow_slots(), 0u);
  EXPECT_EQ(pod().outcome, Outcome::kFailed);
  EXPECT_TRUE(counted(MirrorResult::kFailed));
  EXPECT_TRUE(live_is_served(asking));
}

TEST_F(Mirroring, AnAnswerToACopyHasItsDeploymentsTimes) {
  world.blue.request_timeout = 1h;
  world.publish(3);
  Asking& asking = ask_both();
  world.advance(4s);
  pod().begin_answer(200);
  world.advance(59s);
  EXPECT_EQ(shadow_slots(), 1u);
  world.advance(1s);
  EXPECT_EQ(shadow_slots(), 0u);
  EXPECT_TRUE(counted(MirrorResult::kFailed));
  EXPECT_TRUE(live_is_served(asking));
}

TEST_F(Mirroring, ACopyThatIsNotAnsweredFailsAfterRequestTimeout) {
  world.blue.request_timeout = 1h;
  world.publish(3);
  const auto first = world.pods.plan_connection();
  world.pods.plan_connection()->deaf = true;
  Asking& asking = ask_both();
  world.advance(5s + 249ms);
  EXPECT_TRUE(pod().closing);
  world.advance(249ms);
  EXPECT_EQ(shadow_slots(), 1u) << "the slot is held until the pod has closed, for abort_wait_ms at most";
  world.advance(1ms);
  EXPECT_EQ(shadow_slots(), 0u);
  EXPECT_TRUE(counted(MirrorResult::kFailed));
  EXPECT_TRUE(live_is_served(asking));
}

TEST_F(Mirroring, ACopyThatBreaksIsNotSentAgain) {
  world.pods.plan_connection();
  const auto stale = world.pods.plan_connection();
  stale->reused = true;
  stale->unseen = upstream::Unseen::kProved;
  Asking& asking = ask_both();
  stale->breaks();
  EXPECT_EQ(world.pods.tried.size(), 2u);
  EXPECT_EQ(stale->outcome, Outcome::kFailed);
  EXPECT_TRUE(counted(MirrorResult::kFailed));
  EXPECT_TRUE(live_is_served(asking));
}

TEST_F(Mirroring, APodThatClosesAfterItsAnswerIsWaitedFor) {
  world.pods.plan_connection();
  const auto closes = world.pods.plan_connection();
  closes->says_close = closes->deaf = true;
  Asking& asking = ask_both();
  closes->answer(200);
  EXPECT_EQ(shadow_slots(), 1u);
  closes->close();
  EXPECT_EQ(shadow_slots(), 0u);
  EXPECT_TRUE(counted(MirrorResult::kAnswered));
  EXPECT_TRUE(live_is_served(asking));
}

TEST_F(Mirroring, ASecondAttemptOfTheLiveRequestCopiesItOnceAndWhole) {
  const auto stale = world.pods.plan_connection();
  stale->reused = true;
  stale->unseen = upstream::Unseen::kProved;
  stale->take_nothing();
  Asking& asking = world.ask("Content-Length: 60000\r\n", std::string(60'000, 'x'));
  stale->breaks();
  world.poll();
  ASSERT_EQ(world.pods.connections.size(), 3u);
  EXPECT_EQ(pod().path, "/other");
  EXPECT_EQ(pod().body.size(), 60'000u) << "without a second copy of the bytes of the first attempt";
  pod().answer(200);
  EXPECT_TRUE(counted(MirrorResult::kAnswered));
  world.pods.connections[1]->answer(200);
  EXPECT_EQ(asking.client.status, 200);
}

TEST_F(Mirroring, ACopyOnItsWayIsNotSentASecondTime) {
  const auto stale = world.pods.plan_connection();
  stale->reused = true;
  stale->unseen = upstream::Unseen::kProved;
  world.ask("Content-Length: 3\r\n", "abc");
  stale->breaks();
  world.poll();
  EXPECT_EQ(world.pods.tried.size(), 3u) << "the request was sent twice, its copy once";
  for (const auto& each : world.pods.connections) each->answer(200);
  EXPECT_EQ(world.mirrored(), 1u);
}

// --- the end of mirroring: a step of the drain -------------------------------------------------------------------------------

TEST_F(Mirroring, ItsEndEndsCopiesThatConnect) {
  world.pods.plan_connection();
  world.pods.plan(Opening::kHangs);
  Asking& asking = ask_both();
  world.server.close_idle();
  EXPECT_EQ(shadow_slots(), 0u);
  EXPECT_TRUE(counted(MirrorResult::kFailed));
  EXPECT_TRUE(live_is_served(asking)) << "the first steps of the drain do not end it";
}

TEST_F(Mirroring, ItsEndEndsCopiesThatAreSent) {
  world.pods.plan_connection();
  world.pods.plan_connection()->take_nothing();
  Asking& asking = ask_both();
  world.server.close_idle();
  EXPECT_EQ(shadow_slots(), 0u);
  EXPECT_EQ(pod().outcome, Outcome::kNone);
  EXPECT_TRUE(live_is_served(asking));
}

TEST_F(Mirroring, ItsEndEndsCopiesThatWaitForTheirAnswer) {
  Asking& asking = ask_both();
  EXPECT_EQ(shadow_slots(), 1u);
  world.server.close_idle();
  EXPECT_TRUE(pod().closing);
  EXPECT_EQ(shadow_slots(), 0u);
  EXPECT_TRUE(live_is_served(asking));
}

}  // namespace
}  // namespace router::test

#include "router/discovery/scale_targets.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/discovery/scale_world.h"

namespace router::discovery {
namespace {

TEST_F(ScaleTargetsTest, ReadsATargetAtOnceAndThenAgain) {
  server.make("blue", 3);
  start();
  targets->set({scaled("blue")});
  EXPECT_FALSE(blue().known);
  serve();
  EXPECT_TRUE(blue().known);
  EXPECT_TRUE(blue().may_write());
  EXPECT_EQ(blue().replicas, 3);
  EXPECT_FALSE(blue().rollout);
  EXPECT_FALSE(changes.empty());
  EXPECT_EQ(server.take_log(), Lines{"GET " + ScaleServer::path_of("blue")});
  pass(seconds(15));
  EXPECT_EQ(server.take_log().size(), 3u) << "every five seconds";
}

TEST_F(ScaleTargetsTest, TellsOnlyWhatChanges) {
  start_with(3);
  pass(seconds(20));
  EXPECT_EQ(changes, Lines());
  server.metadata("blue")["generation"] = 9;
  pass(seconds(5));
  EXPECT_EQ(changes, Lines{"blue"});
  EXPECT_TRUE(blue().rollout);
}

TEST_F(ScaleTargetsTest, LooksAtOnceWhenAsked) {
  start_with(3);
  look();
  EXPECT_EQ(server.take_log().size(), 1u);
}

TEST_F(ScaleTargetsTest, BoundsItsLooks) {
  std::vector<ScaledDeployment> all;
  for (int i = 0; i < 300; ++i) {
    const std::string name = "d" + std::to_string(i);
    server.make(name, 1);
    all.push_back(scaled(name));
  }
  start();
  targets->set(all);
  std::size_t asked = 0;
  std::vector<Asked> open;
  while (server.is_asked_now()) open.push_back(server.next());
  EXPECT_LE(open.size(), ScaleTargets::kLooksUnderWay + 1) << "and the list of HorizontalPodAutoscalers";
  for (const Asked& each : open) server.answer(each);
  serve();
  EXPECT_EQ(server.take_log().size(), 300u) << "new ones are read at once";
  for (int i = 0; i < 100; ++i) {
    shard.advance(milliseconds(100));
    serve();
  }
  asked = server.take_log().size();
  EXPECT_LE(asked, 10u * ScaleTargets::kLooksPerSecond);
  EXPECT_GE(asked, 5u * ScaleTargets::kLooksPerSecond - 5u) << "due after five seconds";
}

TEST_F(ScaleTargetsTest, ForgetsWhatIsNotWantedAnyMore) {
  start_with(3);
  targets->set({});
  EXPECT_EQ(targets->seen("blue"), nullptr);
  EXPECT_FALSE(targets->write("blue", 4));
  server.hpa_log.clear();
  pass(seconds(30));
  EXPECT_EQ(server.take_log(), Lines());
  EXPECT_EQ(server.hpa_log, Lines());
  EXPECT_EQ(changes, Lines());
}

TEST_F(ScaleTargetsTest, KeepsWhatIsKnownOfTargetsThatStay) {
  start_with(3);
  server.make("green", 1);
  ScaledDeployment slower = scaled("blue");
  slower.interval = seconds(10);
  targets->set({slower, scaled("green")});
  EXPECT_TRUE(blue().known);
  ScaledDeployment other = slower;
  other.target.name = "green";
  targets->set({other});
  EXPECT_FALSE(blue().known) << "another object";
}

TEST_F(ScaleTargetsTest, ALookAtAnOlderTargetOfThatKeySaysNothing) {
  start_with(3);
  server.make("green", 7);
  shard.advance(milliseconds(200));
  targets->look_now("blue");
  const Asked old = server.next();
  ScaledDeployment other = scaled("blue");
  other.target.name = "green";
  other.deployment = "green";
  targets->set({other});
  server.answer(old);
  for (int i = 0; i < 20; ++i) shard.poll();
  EXPECT_FALSE(blue().known);
  shard.advance(milliseconds(200));
  serve();
  EXPECT_EQ(blue().replicas, 7);
}

TEST_F(ScaleTargetsTest, NeverTouchesWhatAzureMlManages) {
  ScaledDeployment wanted = scaled("blue");
  wanted.adopts_azureml_pods = true;
  server.make("blue", 3);
  start();
  targets->set({wanted});
  pass(seconds(10));
  EXPECT_EQ(server.take_log(), Lines());
  EXPECT_EQ(blue().obstacle, ScaleObstacle::kManagedByAzureMl);
  EXPECT_FALSE(targets->write("blue", 4));
}

TEST_F(ScaleTargetsTest, DoesNotReadOtherKinds) {
  start();
  targets->set({scaled("blue", "ReplicaSet")});
  serve();
  EXPECT_EQ(server.take_log(), Lines());
  EXPECT_EQ(blue().obstacle, ScaleObstacle::kKindNotSupported);
  EXPECT_EQ(blue().obstacle_text, "ReplicaSet team-a/blue is neither a Deployment nor a StatefulSet of apps/v1");
}

TEST_F(ScaleTargetsTest, AStatefulSetIsATarget) {
  server.make("blue", 3, "statefulsets");
  start();
  targets->set({scaled("blue", "StatefulSet")});
  serve();
  ASSERT_TRUE(targets->write("blue", 5));
  serve();
  EXPECT_EQ(take_ends(), Lines{"blue 3->5 written"});
}

TEST_F(ScaleTargetsTest, NamesATargetThatIsNotMarked) {
  start_with(3);
  server.metadata("blue").erase("annotations");
  look();
  EXPECT_EQ(blue().obstacle, ScaleObstacle::kTargetNotMarked);
  EXPECT_EQ(blue().obstacle_text, "Deployment team-a/blue lacks the annotation inference-router.dev/scaled-for: iris/blue");
  EXPECT_FALSE(targets->write("blue", 4));
  server.metadata("blue")["annotations"] = json::object{{"inference-router.dev/scaled-for", "iris/gr\x1b[een"}};
  look();
  EXPECT_EQ(blue().obstacle_text,
            "Deployment team-a/blue lacks the annotation inference-router.dev/scaled-for: iris/blue; it is for iris/gr?[een");
}

TEST_F(ScaleTargetsTest, NamesATargetThatIsMissingOrForbidden) {
  start();
  targets->set({scaled("blue")});
  serve();
  EXPECT_EQ(blue().obstacle, ScaleObstacle::kTargetMissing);
  EXPECT_EQ(blue().obstacle_text, "Deployment team-a/blue does not exist");
  EXPECT_FALSE(blue().known);
  server.refusals["GET"] = {403, "cannot get resource"};
  look();
  EXPECT_EQ(blue().obstacle, ScaleObstacle::kTargetForbidden);
  EXPECT_EQ(blue().obstacle_text, "Deployment team-a/blue: cannot get resource");
  server.refusals.clear();
  server.make("blue", 2);
  look();
  EXPECT_TRUE(blue().may_write());
}

TEST_F(ScaleTargetsTest, HostileAnswersAreUnreadable) {
  start_with(3);
  for (const std::string& answer :
       {std::string("[]"), std::string("{"), std::string("{}"), std::string(R"({"metadata":[],"spec":{"replicas":"x"}})"),
        std::string(R"({"metadata":{"name":"other","uid":"u","resourceVersion":"1"}})"), std::string(200, '[')}) {
    shard.advance(milliseconds(200));
    targets->look_now("blue");
    server.next().answer(200, answer);
    for (int i = 0; i < 20; ++i) shard.poll();
    EXPECT_EQ(blue().obstacle, ScaleObstacle::kTargetUnreadable) << answer;
    EXPECT_FALSE(targets->write("blue", 4));
  }
}

TEST_F(ScaleTargetsTest, NamesAnHpaUntilItHasGone) {
  start_with(3);
  server.make_hpa("other", "green");
  serve();
  EXPECT_EQ(changes, Lines());
  server.make_hpa("x", "blue");
  serve();
  EXPECT_EQ(changes, Lines{"blue"}) << "without a look";
  EXPECT_EQ(blue().obstacle, ScaleObstacle::kConflictingAutoscaler);
  EXPECT_EQ(blue().obstacle_text, "HorizontalPodAutoscaler team-a/x");
  EXPECT_FALSE(targets->write("blue", 4));
  shard.advance(seconds(3));
  server.make_hpa("x", "green");  // its target changes
  serve();
  EXPECT_TRUE(blue().may_write());
  EXPECT_EQ(blue().conflicted, shard.now());
  server.make_hpa("x", "blue");
  serve();
  server.remove_hpa("x");
  serve();
  EXPECT_TRUE(blue().may_write());
}

TEST_F(ScaleTargetsTest, AnHpaOfAnotherKindIsNoConflict) {
  start_with(3);
  server.make_hpa("x", "blue", "StatefulSet");
  serve();
  EXPECT_TRUE(blue().may_write());
}

TEST_F(ScaleTargetsTest, DoesNotWriteAsLongAsHpasCannotBeRead) {
  server.make("blue", 3);
  server.make_hpa("x", "blue");
  server.hpa_refusal = 403;
  start();
  targets->set({scaled("blue")});
  pass(seconds(3));
  EXPECT_EQ(blue().obstacle, ScaleObstacle::kHpasUnreadable);
  EXPECT_EQ(blue().obstacle_text, "the router may not list and watch HorizontalPodAutoscalers");
  EXPECT_FALSE(targets->write("blue", 4));
  server.hpa_refusal = 0;
  pass(seconds(5));
  EXPECT_EQ(blue().obstacle, ScaleObstacle::kConflictingAutoscaler);
  server.remove_hpa("x");
  serve();
  EXPECT_TRUE(blue().may_write());
  server.hpa_refusal = 403;  // taken away
  server.end_watches();
  pass(seconds(3));
  EXPECT_EQ(blue().obstacle, ScaleObstacle::kHpasUnreadable);
}

TEST_F(ScaleTargetsTest, KnowsNothingUntilHpasWereListed) {
  server.make("blue", 3);
  start();
  targets->set({scaled("blue")});
  std::vector<Asked> lists;
  while (server.is_asked_now()) {
    const Asked asked = server.next();
    if (asked.target.find("horizontalpodautoscalers") == std::string::npos) {
      server.answer(asked);
    } else {
      lists.push_back(asked);
    }
  }
  ASSERT_EQ(lists.size(), 1u);
  EXPECT_FALSE(blue().known);
  EXPECT_FALSE(targets->write("blue", 4));
  server.answer(lists[0]);
  serve();
  EXPECT_TRUE(blue().may_write());
}

TEST_F(ScaleTargetsTest, OneWatchServesAllNamespaces) {
  server.make("blue", 3);
  start({});
  ScaledDeployment elsewhere = scaled("green");
  elsewhere.namespace_name = "team-b";
  targets->set({scaled("blue"), elsewhere});
  serve();
  EXPECT_TRUE(blue().may_write());
  for (const std::string& path : server.hpa_log) EXPECT_EQ(path, "/apis/autoscaling/v2/horizontalpodautoscalers");
  server.make_hpa("x", "blue");
  serve();
  EXPECT_EQ(blue().obstacle, ScaleObstacle::kConflictingAutoscaler);
  EXPECT_NE(targets->seen("green")->obstacle, ScaleObstacle::kConflictingAutoscaler);
}

TEST_F(ScaleTargetsTest, FollowsHpasOfServedNamespacesOnly) {
  start({"team-b"});
  server.make("blue", 3);
  targets->set({scaled("blue")});
  serve();
  EXPECT_EQ(server.hpa_log, Lines());
  EXPECT_EQ(blue().obstacle, ScaleObstacle::kHpasUnreadable);
}

TEST_F(ScaleTargetsTest, NamesWhoElseHasScaled) {
  start_with(5);
  server.scale("blue", 2, "argocd-controller", "Apply");
  server.settle("blue");
  look();
  EXPECT_EQ(changes, Lines{"blue"});
  EXPECT_EQ(blue().replicas, 2);
  EXPECT_EQ(blue().foreign_changes, 1u);
  EXPECT_EQ(blue().foreign_replicas, 2);
  EXPECT_EQ(blue().foreign_writer, "argocd-controller (Apply) set 2");
  look();
  EXPECT_EQ(blue().foreign_changes, 1u);
  server.scale("blue", 0, "kubectl");
  look();
  EXPECT_EQ(blue().foreign_changes, 2u);
  EXPECT_EQ(blue().foreign_writer, "kubectl (Update) set 0");
}

TEST_F(ScaleTargetsTest, WhatARouterHasWrittenIsNoForeignChange) {
  start_with(5);
  server.scale("blue", 2, "inference-router-scaler");  // an earlier leader, whose write was late
  look();
  EXPECT_EQ(blue().replicas, 2);
  EXPECT_TRUE(blue().is_ours);
  EXPECT_EQ(blue().foreign_changes, 0u);
}

TEST_F(ScaleTargetsTest, TheFirstLookOfANewLeaderIsNoForeignChange) {
  server.make("blue", 3);
  server.scale("blue", 0, "kubectl");
  server.settle("blue");
  start();
  targets->set({scaled("blue")});
  serve();
  EXPECT_EQ(blue().foreign_changes, 0u);
  EXPECT_FALSE(blue().is_ours) << "but it sees that somebody else has set 0";
  EXPECT_EQ(blue().writer, "kubectl (Update)");
}

TEST_F(ScaleTargetsTest, ATargetThatWasMadeAnewBeginsAnew) {
  start_with(5);
  server.make("blue", 1);
  look();
  EXPECT_EQ(blue().replicas, 1);
  EXPECT_EQ(blue().foreign_changes, 0u);
}

TEST_F(ScaleTargetsTest, NamesAServerThatIsAwayWhenWhatIsKnownIsOld) {
  start_with(3);
  server.close();
  server.forget();
  pass(seconds(50));
  EXPECT_EQ(blue().obstacle, ScaleObstacle::kNone);
  pass(seconds(20));
  EXPECT_NE(blue().obstacle, ScaleObstacle::kNone);
  EXPECT_FALSE(blue().obstacle_text.empty());
  EXPECT_EQ(blue().replicas, 3);
}

TEST_F(ScaleTargetsTest, AServerInTroubleIsNamedUntilItAnswers) {
  start_with(3);
  server.refusals["GET"] = {503, "etcd is away"};
  pass(seconds(70));
  EXPECT_EQ(blue().obstacle, ScaleObstacle::kServerAway) << blue().obstacle_text;
  EXPECT_TRUE(blue().may_write());
  server.refusals.clear();
  pass(seconds(3));
  EXPECT_EQ(blue().obstacle, ScaleObstacle::kNone);
}

}  // namespace
}  // namespace router::discovery

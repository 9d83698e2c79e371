#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "router/discovery/scale_targets.h"
#include "tests/unit/discovery/scale_world.h"

namespace router::discovery {
namespace {

TEST_F(ScaleTargetsTest, WritesTheScaleOfWhatItHasSeen) {
  start_with(3);
  const std::string version = kubernetes::metadata_text(server.objects.at(ScaleServer::path_of("blue")), "resourceVersion");
  ASSERT_TRUE(targets->write("blue", 5));
  EXPECT_TRUE(blue().writing);
  EXPECT_FALSE(targets->write("blue", 6)) << "one at a time";
  const Asked put = server.next();
  EXPECT_EQ(put.method, "PUT");
  EXPECT_EQ(put.target, ScaleServer::path_of("blue") + "/scale?fieldManager=inference-router-scaler");
  EXPECT_EQ(json::parse(put.body),
            json::parse(R"({"apiVersion":"autoscaling/v1","kind":"Scale","metadata":{"namespace":"team-a",)"
                        R"("name":"blue","resourceVersion":")" +
                        version + R"("},"spec":{"replicas":5}})"));
  server.answer(put);
  serve();
  EXPECT_EQ(take_ends(), Lines{"blue 3->5 written"});
  EXPECT_EQ(blue().replicas, 5);
  EXPECT_TRUE(blue().is_ours);
  EXPECT_FALSE(blue().writing);
  server.settle("blue");
  look();
  EXPECT_EQ(blue().foreign_changes, 0u);
  ASSERT_TRUE(targets->write("blue", 4));
  serve();
  EXPECT_EQ(server.replicas("blue"), 4);
}

TEST_F(ScaleTargetsTest, WritesAgainAfterANewStatus) {
  start_with(3);
  server.settle("blue");
  ASSERT_TRUE(targets->write("blue", 5));
  serve();
  EXPECT_EQ(take_ends(), Lines{"blue 3->5 written"});
  EXPECT_EQ(server.count("PUT"), 2u);
  EXPECT_EQ(server.count("GET"), 1u);
}

TEST_F(ScaleTargetsTest, GivesUpAWriteInAStormOfConflicts) {
  start_with(3);
  server.on_request = [this](const Asked& asked) {
    if (asked.method == "PUT") server.settle("blue");
  };
  ASSERT_TRUE(targets->write("blue", 5));
  serve();
  EXPECT_EQ(take_ends(), Lines{"blue 3->5 conflict: Deployment team-a/blue has changed 10 times meanwhile"});
  EXPECT_EQ(server.count("PUT"), 10u);
  EXPECT_FALSE(targets->write("blue", 5)) << "it pauses";
  server.on_request = {};
  shard.advance(seconds(1));
  ASSERT_TRUE(targets->write("blue", 5));
  serve();
  EXPECT_EQ(take_ends(), Lines{"blue 3->5 written"});
}

TEST_F(ScaleTargetsTest, DropsAWriteWhenSomebodyElseHasScaled) {
  start_with(3);
  server.scale("blue", 8, "kubectl");
  ASSERT_TRUE(targets->write("blue", 5));
  serve();
  EXPECT_EQ(take_ends(), Lines{"blue 3->5 conflict: kubectl (Update) set 8"});
  EXPECT_EQ(server.replicas("blue"), 8);
  EXPECT_EQ(blue().replicas, 8);
  EXPECT_EQ(blue().foreign_changes, 1u);
  EXPECT_FALSE(blue().writing);
}

TEST_F(ScaleTargetsTest, DropsAWriteWhenTheMarkHasGone) {
  start_with(3);
  server.metadata("blue").erase("annotations");
  server.settle("blue");
  ASSERT_TRUE(targets->write("blue", 5));
  serve();
  EXPECT_EQ(take_ends(), Lines{"blue 3->5 conflict: Deployment team-a/blue lacks the annotation "
                               "inference-router.dev/scaled-for: iris/blue"});
  EXPECT_EQ(server.replicas("blue"), 3);
}

TEST_F(ScaleTargetsTest, DropsAWriteThatWasDecidedForAnOlderObject) {
  start_with(3);
  server.make("blue", 3);
  ASSERT_TRUE(targets->write("blue", 5));
  serve();
  EXPECT_EQ(take_ends(), Lines{"blue 3->5 conflict: Deployment team-a/blue was made anew"});
}

TEST_F(ScaleTargetsTest, DropsAWriteDownWhenARolloutHasBegun) {
  for (const int wanted : {2, 5}) {
    start_with(3);
    json::object& object = server.objects.at(ScaleServer::path_of("blue"));
    object["status"].as_object()["updatedReplicas"] = 1;
    server.touch(object);
    ASSERT_TRUE(targets->write("blue", wanted));
    serve();
    EXPECT_EQ(take_ends(), wanted == 2 ? Lines{"blue 3->2 conflict: a rollout has begun"} : Lines{"blue 3->5 written"});
  }
}

TEST_F(ScaleTargetsTest, DropsAWriteWhenAnHpaCame) {
  start_with(3);
  server.settle("blue");
  ASSERT_TRUE(targets->write("blue", 5));
  const Asked put = server.next();
  server.make_hpa("x", "blue");
  for (int i = 0; i < 20; ++i) shard.poll();
  server.answer(put);
  serve();
  EXPECT_EQ(take_ends(), Lines{"blue 3->5 conflict: HorizontalPodAutoscaler team-a/x"});
}

TEST_F(ScaleTargetsTest, ALookThatBeganBeforeAWriteSaysNothing) {
  start_with(3);
  shard.advance(milliseconds(200));
  targets->look_now("blue");
  const Asked look = server.next();
  const std::string before = json::serialize(server.objects.at(ScaleServer::path_of("blue")));
  ASSERT_TRUE(targets->write("blue", 5));
  const Asked put = server.next();  // not behind the look
  EXPECT_EQ(put.method, "PUT");
  server.answer(put);
  for (int i = 0; i < 20; ++i) shard.poll();
  look.answer(200, before);
  for (int i = 0; i < 20; ++i) shard.poll();
  EXPECT_EQ(blue().replicas, 5);
}

TEST_F(ScaleTargetsTest, WritesAreNotBehindLooks) {
  start_with(3);
  std::vector<ScaledDeployment> all{scaled("blue")};
  for (int i = 0; i < 50; ++i) all.push_back(scaled("d" + std::to_string(i)));
  targets->set(all);
  std::vector<Asked> looks;
  while (server.is_asked_now()) looks.push_back(server.next());
  ASSERT_TRUE(targets->write("blue", 5));
  EXPECT_EQ(server.next().method, "PUT");
}

TEST_F(ScaleTargetsTest, NamesARightThatIsMissing) {
  start_with(3);
  const std::string message =
      R"(deployments.apps \"blue\" is forbidden: User \"system:serviceaccount:router:router\" cannot update resource \"deployments/scale\" in API group \"apps\")";
  server.refusals["PUT"] = {403, message};
  ASSERT_TRUE(targets->write("blue", 5));
  serve();
  ASSERT_EQ(ends.size(), 1u);
  EXPECT_EQ(ends[0].substr(0, ends[0].find(':')), "blue 3->5 forbidden");
  EXPECT_EQ(blue().obstacle, ScaleObstacle::kScaleForbidden);
  EXPECT_NE(blue().obstacle_text.find("cannot update resource"), std::string::npos);
  EXPECT_FALSE(targets->write("blue", 5)) << "it pauses";
  server.refusals.clear();
  shard.advance(seconds(1));
  ASSERT_TRUE(targets->write("blue", 5));
  serve();
  EXPECT_EQ(blue().obstacle, ScaleObstacle::kNone);
}

TEST_F(ScaleTargetsTest, PausesLongerAfterEachRefusal) {
  start_with(3);
  server.refusals["PUT"] = {422, "spec.replicas: Invalid value"};
  for (const int pause : {1, 2, 4, 8, 16, 32, 60, 60}) {
    ASSERT_TRUE(targets->write("blue", 5)) << pause;
    serve();
    EXPECT_EQ(take_ends(), Lines{"blue 3->5 refused: spec.replicas: Invalid value"});
    EXPECT_EQ(blue().obstacle, ScaleObstacle::kNone);
    pass(seconds(pause - 1));
    EXPECT_FALSE(targets->write("blue", 5)) << pause;
    pass(seconds(1));
  }
}

TEST_F(ScaleTargetsTest, NamesAQuotaAndAPolicy) {
  start_with(3);
  server.refusals["PUT"] = {403, "exceeded quota\\nwith \\u001b[31m" + std::string(5000, 'x')};
  ASSERT_TRUE(targets->write("blue", 5));
  serve();
  ASSERT_EQ(ends.size(), 1u);
  EXPECT_TRUE(ends[0].starts_with("blue 3->5 refused: exceeded quota")) << ends[0];
  EXPECT_LT(ends[0].size(), 300u);
  EXPECT_EQ(ends[0].find_first_of("\n\x1b"), std::string::npos);
}

TEST_F(ScaleTargetsTest, NamesAPluginThatStoresAnotherNumber) {
  start_with(3);
  server.stores = 4;
  ASSERT_TRUE(targets->write("blue", 9));
  serve();
  EXPECT_EQ(take_ends(), Lines{"blue 3->9 refused: the API server has stored 4"});
  EXPECT_EQ(blue().replicas, 4);
}

TEST_F(ScaleTargetsTest, ATargetThatWasDeletedIsNamed) {
  start_with(3);
  server.objects.clear();
  ASSERT_TRUE(targets->write("blue", 5));
  serve();
  EXPECT_EQ(take_ends(), Lines{"blue 3->5 refused: not found"});
  EXPECT_EQ(blue().obstacle, ScaleObstacle::kTargetMissing);
}

TEST_F(ScaleTargetsTest, LooksBeforeItWritesAgainWithoutAnAnswer) {
  for (const bool was_written : {true, false}) {
    start_with(3);
    ASSERT_TRUE(targets->write("blue", 5));
    const Asked put = server.next();
    if (was_written) server.scale("blue", 5, "inference-router-scaler");
    put.cut();
    for (int i = 0; i < 20; ++i) shard.poll();
    ASSERT_EQ(ends.size(), 1u);
    EXPECT_TRUE(ends[0].starts_with("blue 3->5 unknown: ")) << ends[0];
    ends.clear();
    EXPECT_TRUE(blue().writing);
    EXPECT_FALSE(targets->write("blue", 5));
    changes.clear();
    pass(seconds(3));
    EXPECT_FALSE(blue().writing);
    EXPECT_EQ(changes, Lines{"blue"});
    EXPECT_EQ(blue().replicas, was_written ? 5 : 3);
    EXPECT_EQ(blue().foreign_changes, 0u);
    EXPECT_EQ(server.count("PUT"), 0u);
  }
}

TEST_F(ScaleTargetsTest, LooksBeforeItWritesAgainAfterAnErrorOfTheServer) {
  start_with(3);
  server.refusals["PUT"] = {500, "etcd: request timed out"};
  ASSERT_TRUE(targets->write("blue", 5));
  pass(seconds(3));
  ASSERT_EQ(ends.size(), 1u);
  EXPECT_NE(ends[0].find("unknown: API server 127.0.0.1:"), std::string::npos) << ends[0];
  EXPECT_EQ(server.count("PUT"), 1u);
  EXPECT_GE(server.count("GET"), 1u);
}

TEST_F(ScaleTargetsTest, AHangingWriteEnds) {
  start_with(3);
  ASSERT_TRUE(targets->write("blue", 5));
  const Asked hangs = server.next();
  shard.advance(kubernetes::Errands::kRequestMax);
  serve();
  ASSERT_EQ(ends.size(), 1u);
  EXPECT_TRUE(ends[0].starts_with("blue 3->5 unknown: ")) << ends[0];
}

TEST_F(ScaleTargetsTest, AWriteOfAForgottenTargetEndsSilently) {
  start_with(3);
  ASSERT_TRUE(targets->write("blue", 5));
  const Asked put = server.next();
  targets->set({});
  targets->set({scaled("blue")});
  server.answer(put);
  serve();
  shard.advance(milliseconds(200));
  serve();
  EXPECT_EQ(take_ends(), Lines());
  EXPECT_EQ(blue().replicas, 5) << "the new look";
}

TEST_F(ScaleTargetsTest, EveryCallIsAllowedInCallbacks) {
  server.make("blue", 3);
  ScaleTargetsOptions options;
  options.namespaces = {"team-a"};
  options.changed = [this](const std::string& key) {
    targets->look_now(key);
    if (targets->write(key, 5)) changes.push_back("wrote");
  };
  options.written = [this](const std::string&, const ScaleWritten&) {
    targets->set({});
    targets.reset();
  };
  targets = std::make_unique<ScaleTargets>(*client, group, std::move(options));
  targets->set({scaled("blue")});
  serve();
  EXPECT_EQ(changes, Lines{"wrote"});
  EXPECT_EQ(targets, nullptr);
  EXPECT_EQ(server.replicas("blue"), 5);
}

TEST_F(ScaleTargetsTest, CallsNothingAfterItsEnd) {
  start_with(3);
  ASSERT_TRUE(targets->write("blue", 5));
  const Asked put = server.next();
  targets.reset();
  put.cut();
  for (int i = 0; i < 20; ++i) shard.poll();
  EXPECT_EQ(take_ends(), Lines());
}

}  // namespace
}  // namespace router::discovery

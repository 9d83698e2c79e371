#include "router/discovery/cluster_reporter.h"

#include "tests/unit/discovery/reporter_world.h"

namespace router::discovery {
namespace {

class StatusTest : public ReporterTest {
 protected:
  StatusTest() {
    world.add_endpoint(iris()).add_deployment({}).add_secret(secret({{"primaryKey", "a"}}));
    replicas["iris-blue"] = {1, 2};
  }
};

TEST_F(StatusTest, IsAppliedByOneManagerToTheStatusAlone) {
  start("a");
  ASSERT_EQ(server.writes_of("iris"), 1u);
  ASSERT_EQ(server.writes_of("iris-blue"), 1u);
  const ReportServer::Request write = server.requests("/iris/status").at(0);
  EXPECT_EQ(write.method, "PATCH");
  EXPECT_EQ(write.target, std::string(kIris) + "/status?fieldManager=inference-router&force=true");
  EXPECT_NE(write.head.find("application/apply-patch+yaml"), write.head.npos);
  EXPECT_EQ(write.body.size(), 4u) << "apiVersion, kind, metadata, status";
  EXPECT_EQ(json::value(write.body.at("metadata")), json::parse(R"({"name":"iris","namespace":"team-a","uid":"team-a-iris"})"));
  EXPECT_EQ(condition("Ready"), "True Ready");
  EXPECT_EQ(server.statuses[kIris].at("replicas"), "1/2");
  EXPECT_EQ(find_condition(server.statuses[kIris], "Ready")->at("lastTransitionTime"), "2027-01-15T08:00:00Z");
}

TEST_F(StatusTest, IsNotWrittenAgainWhileNothingChanges) {
  start("a");
  show();
  for (int i = 0; i < 20; ++i) {
    changed();
    pass(seconds(1));
  }
  EXPECT_EQ(server.writes_of("iris"), 1u);
  EXPECT_EQ(server.writes_of("iris-blue"), 1u);
}

TEST_F(StatusTest, IsNotWrittenAgainThoughTheWatchIsBehind) {
  start("a");
  for (int i = 0; i < 5; ++i) {
    changed();
    pass(seconds(1));
  }
  EXPECT_EQ(server.writes_of("iris"), 1u);
}

TEST_F(StatusTest, IsWrittenOnceASecondHoweverOftenItChanges) {
  start("a");
  for (int i = 0; i < 100; ++i) {
    replicas["iris-blue"] = {1 + i, 200};
    changed();
    pass(milliseconds(100));
  }
  EXPECT_GE(server.writes_of("iris-blue"), 9u);
  EXPECT_LE(server.writes_of("iris-blue"), 11u);
  pass(seconds(2));
  EXPECT_EQ(server.statuses[kIris].at("replicas"), "100/200") << "the last counts are written";
}

TEST_F(StatusTest, KeepsTheTimeOfWhatStays) {
  start("a");
  pass(seconds(30));
  replicas["iris-blue"] = {0, 2};
  changed();
  pass(seconds(2));
  const json::object& status = server.statuses[kIris];
  EXPECT_EQ(condition("Ready"), "False NoReadyReplica");
  EXPECT_EQ(find_condition(status, "Accepted")->at("lastTransitionTime"), "2027-01-15T08:00:00Z");
  EXPECT_GE(find_condition(status, "Ready")->at("lastTransitionTime").as_string(), "2027-01-15T08:00:30Z");
}

TEST_F(StatusTest, IsPutRightWhenSomebodyElseChangesIt) {
  start("a");
  show();
  pass(seconds(2));
  json::object changed_status = server.statuses[kIris];
  changed_status["traffic"] = "blue=1";
  show(changed_status);
  pass(seconds(2));
  EXPECT_EQ(server.writes_of("iris"), 2u);
  EXPECT_EQ(server.statuses[kIris].at("traffic"), "blue=100");
  show(json::object());  // all of the status is removed
  pass(seconds(2));
  EXPECT_EQ(server.writes_of("iris"), 3u);
}

TEST_F(StatusTest, IsNotSentForeverToAServerThatKeepsSomethingElse) {
  server.drops = "conditions";  // the object's schema does not know them
  start("a");
  for (int i = 0; i < 5; ++i) {
    changed();
    pass(seconds(2));
  }
  EXPECT_EQ(server.writes_of("iris"), 1u);
  replicas["iris-blue"] = {2, 2};
  changed();
  pass(seconds(2));
  EXPECT_EQ(server.writes_of("iris"), 2u);
}

TEST_F(StatusTest, IsLeftToTheRouterThatLeads) {
  start("a");
  start("b");
  pass(seconds(5));
  EXPECT_EQ(server.writes_of("iris"), 1u);
  EXPECT_EQ(server.holder, "a");
}

TEST_F(StatusTest, ANewLeaderWritesOnlyWhatDiffers) {
  start("a");
  start("b");
  show();
  routers["a"].reporter.reset();
  server.answer_all();
  pass(seconds(3));
  ASSERT_EQ(server.holder, "b");
  EXPECT_EQ(server.writes_of("iris"), 1u) << "its status is already correct";
  EXPECT_EQ(server.writes_of("iris-blue"), 2u) << "the watch has not delivered the written status";
  replicas["iris-blue"] = {2, 2};
  changed();
  pass(seconds(2));
  EXPECT_EQ(server.writes_of("iris"), 2u);
}

TEST_F(StatusTest, LosingTheLeaseOnlyStopsWriting) {
  start("a");
  shard.advance(seconds(10));  // the server does not answer the renewal in time
  EXPECT_FALSE(routers["a"].reporter->leading());
  const std::size_t before = server.log.size();
  replicas["iris-blue"] = {2, 2};
  changed();
  shard.advance(seconds(1));
  EXPECT_EQ(server.log.size(), before);
  pass(seconds(10));
  EXPECT_TRUE(routers["a"].reporter->leading());
  EXPECT_EQ(server.statuses[kIris].at("replicas"), "2/2");
}

TEST_F(StatusTest, LosingTheLeaseEndsWhatWaitsForItsNextAttempt) {
  server.refusals[std::string(kIris) + "/status"] = 403;
  start("a");
  ASSERT_EQ(server.writes_of("iris"), 1u);
  server.hides_lease = true;
  shard.advance(seconds(10));
  server.answer_all();
  EXPECT_FALSE(routers["a"].reporter->leading());
  EXPECT_EQ(server.writes_of("iris"), 1u);
  server.hides_lease = false;
}

TEST_F(StatusTest, IsWrittenByARouterThatLeadsAgain) {
  start("a");
  server.refusals[std::string(kIris) + "/status"] = 403;
  replicas["iris-blue"] = {2, 2};
  changed();
  pass(seconds(2));
  ASSERT_GT(server.writes_of("iris"), 1u);
  server.hides_lease = true;
  pass(seconds(10));
  ASSERT_FALSE(routers["a"].reporter->leading());
  pass(seconds(60));  // the time of its next attempt passes, and it makes none
  server.hides_lease = false;
  server.refusals.clear();
  pass(seconds(20));
  ASSERT_TRUE(routers["a"].reporter->leading());
  EXPECT_EQ(server.statuses[kIris].at("replicas"), "2/2");
}

TEST_F(StatusTest, IsWrittenAfterMemoryWasShort) {
  short_of_memory = true;
  EXPECT_THROW(start("a"), std::bad_alloc) << "the loop of a running shard catches it";
  pass(seconds(2));
  EXPECT_EQ(server.writes_of("iris"), 1u);
}

TEST_F(StatusTest, WaitsUntilEverythingIsListed) {
  listed = false;
  start("a");
  pass(seconds(5));
  EXPECT_TRUE(server.log.empty());
  listed = true;
  pass(seconds(1));
  EXPECT_EQ(server.writes_of("iris"), 1u);
}

TEST_F(StatusTest, IsTriedAgainAfterARefusal) {
  const std::string path = std::string(kIris) + "/status";
  for (const int refusal : {403, 409, 422, 500}) {
    server.refusals[path] = refusal;
    if (routers.empty()) start("a");
    replicas["iris-blue"].first++;
    replicas["iris-blue"].second++;
    changed();
    pass(seconds(1));
    const std::size_t before = server.writes_of("iris");
    pass(seconds(30));
    EXPECT_GT(server.writes_of("iris"), before) << refusal;
    EXPECT_LT(server.writes_of("iris"), before + 31) << refusal;
    server.refusals.clear();
    pass(seconds(61));
    EXPECT_EQ(server.statuses[kIris].at("replicasReady").to_number<std::size_t>(),
              static_cast<std::size_t>(replicas["iris-blue"].first))
        << refusal;
  }
}

TEST_F(StatusTest, OfAnObjectThatIsGoneIsForgotten) {
  server.refusals[std::string(kIris) + "/status"] = 404;
  start("a");
  world.endpoints->removed(iris().object());
  changed();
  pass(seconds(70));
  EXPECT_LE(server.writes_of("iris"), 1u);
}

TEST_F(StatusTest, OfAnObjectMadeAnewIsWrittenAnew) {
  start("a");
  show();
  EndpointSpec again = iris();
  again.uid = "other";
  world.add_endpoint(again);
  changed();
  pass(seconds(2));
  ASSERT_EQ(server.writes_of("iris"), 2u);
  EXPECT_EQ(server.requests("/iris/status").at(1).body.at("metadata").at("uid"), "other");
}

TEST_F(StatusTest, HasTheAddressOfTheOwnServiceWhichIsReadOnceAMinute) {
  options.address.service = "router";
  options.address.service_namespace = "system";
  server.service["status"] = {{"loadBalancer", {{"ingress", json::array{json::object{{"ip", "198.51.100.7"}}}}}}};
  start("a");
  pass(seconds(1));
  ASSERT_EQ(server.writes_of("iris"), 1u) << "the status is not written before the Service is known";
  EXPECT_EQ(server.statuses[kIris].at("scoringUri"), "http://198.51.100.7/api/v1/endpoint/iris/score");
  const auto& service = server.requests("/api/v1/namespaces/system/services/router");
  EXPECT_EQ(service.size(), 1u);
  server.service["status"] = {{"loadBalancer", {{"ingress", json::array{json::object{{"hostname", "lb.example"}}}}}}};
  pass(seconds(58));
  EXPECT_EQ(server.requests("/services/router").size(), 1u);
  pass(seconds(4));
  EXPECT_EQ(server.requests("/services/router").size(), 2u);
  EXPECT_EQ(server.statuses[kIris].at("scoringUri"), "http://lb.example/api/v1/endpoint/iris/score");
}

TEST_F(StatusTest, DoesNotWaitForAServiceThatItMayNotRead) {
  options.address.service = "router";
  options.address.service_namespace = "system";
  server.refusals["/api/v1/namespaces/system/services/router"] = 403;
  start("a");
  pass(seconds(1));
  EXPECT_EQ(server.statuses[kIris].at("scoringUri"), "http://router.system.svc/api/v1/endpoint/iris/score");
}

}  // namespace
}  // namespace router::discovery

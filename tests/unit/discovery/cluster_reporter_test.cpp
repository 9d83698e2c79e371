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
  EXPECT_EQ(server.statuses[kIris].at("replicas"), "100/200") << "the last one counts";
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
  show(json::object());  // all of it removed
  pass(seconds(2));
  EXPECT_EQ(server.writes_of("iris"), 3u);
}

TEST_F(StatusTest, IsNotSentForeverToAServerThatKeepsSomethingElse) {
  server.drops = "conditions";  // its schema does not know them
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
  EXPECT_EQ(server.writes_of("iris"), 1u) << "it is right already";
  EXPECT_EQ(server.writes_of("iris-blue"), 2u) << "the watch has not shown it";
  replicas["iris-blue"] = {2, 2};
  changed();
  pass(seconds(2));
  EXPECT_EQ(server.writes_of("iris"), 2u);
}

TEST_F(StatusTest, LosingTheLeaseOnlyStopsWriting) {
  start("a");
  shard.advance(seconds(10));  // the renewal is not answered in time
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
  pass(seconds(60));  // its next attempt comes meanwhile, and is not made
  server.hides_lease = false;
  server.refusals.clear();
  pass(seconds(20));
  ASSERT_TRUE(routers["a"].reporter->leading());
  EXPECT_EQ(server.statuses[kIris].at("replicas"), "2/2");
}

TEST_F(StatusTest, IsWrittenAfterMemoryWasShort) {
  short_of_memory = true;
  EXPECT_THROW(start("a"), std::bad_alloc) << "the loop contains it";
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
  options.address.service_home = "system";
  server.service["status"] = {{"loadBalancer", {{"ingress", json::array{json::object{{"ip", "198.51.100.7"}}}}}}};
  start("a");
  pass(seconds(1));
  ASSERT_EQ(server.writes_of("iris"), 1u) << "not before the Service is known";
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
  options.address.service_home = "system";
  server.refusals["/api/v1/namespaces/system/services/router"] = 403;
  start("a");
  pass(seconds(1));
  EXPECT_EQ(server.statuses[kIris].at("scoringUri"), "http://router.system.svc/api/v1/endpoint/iris/score");
}

class EventTest : public ReporterTest {
 protected:
  EventTest() {
    world.add_endpoint(iris()).add_deployment({});
    world.taken.endpoints.insert("iris");
  }
  std::vector<ReportServer::Request> events() { return server.requests("/events"); }
  std::vector<ReportServer::Request> events_of(const std::string& name) {
    std::vector<ReportServer::Request> some;
    for (const auto& each : events()) {
      if (each.body.at("regarding").at("name") == json::value(name)) some.push_back(each);
    }
    return some;
  }
  void settle() {
    changed();
    pass(seconds(3));
  }
};

TEST_F(EventTest, TellsARefusalOnce) {
  start("a");
  for (int i = 0; i < 5; ++i) settle();
  ASSERT_EQ(events().size(), 2u) << "of the endpoint, and of its deployment";
  const ReportServer::Request event = events().at(0);
  EXPECT_EQ(event.method, "POST");
  EXPECT_EQ(event.path, kEvents);
  const json::object& body = event.body;
  EXPECT_EQ(body.at("type"), "Warning");
  EXPECT_EQ(body.at("action"), "Accept");
  EXPECT_EQ(body.at("reportingController"), "inference-router.dev/router");
  EXPECT_EQ(body.at("reportingInstance"), "a");
  EXPECT_EQ(body.at("eventTime").as_string().size(), std::string("2027-01-15T08:00:00.000000Z").size());
  std::map<std::string, json::value> by_name;
  for (const auto& each : events()) by_name[each.body.at("regarding").at("name").as_string().c_str()] = each.body;
  EXPECT_EQ(by_name["iris"].at("reason"), "NameConflict");
  EXPECT_EQ(by_name["iris"].at("note"), "the endpoint `iris` is described by a file");
  EXPECT_EQ(
      by_name["iris"].at("regarding"),
      json::parse(
          R"({"apiVersion":"inference-router.dev/v1alpha1","kind":"OnlineEndpoint","namespace":"team-a","name":"iris","uid":"team-a-iris"})"));
  EXPECT_EQ(by_name["iris-blue"].at("reason"), "EndpointNotAccepted");
  EXPECT_EQ(by_name["iris-blue"].at("regarding").at("kind"), "OnlineDeployment");
}

TEST_F(EventTest, ThatWaitedWhenTheLeaseWasLostIsToldByTheRouterThatLeadsAgain) {
  server.refusals[kEvents] = 503;
  start("a");
  settle();
  server.hides_lease = true;
  pass(seconds(20));
  ASSERT_FALSE(routers["a"].reporter->leading());
  server.log.clear();
  server.refusals.clear();
  server.hides_lease = false;
  pass(seconds(20));
  ASSERT_TRUE(routers["a"].reporter->leading());
  EXPECT_EQ(events().size(), 2u);
}

TEST_F(EventTest, TellsAnotherReasonAndARefusalThatComesBack) {
  start("a");
  settle();
  ASSERT_EQ(events().size(), 2u);
  config::NamespaceRules rules;
  rules.name = "team-a";
  rules.prefix = "team-a-";
  world.rules.namespaces = {rules};  // NameNotAllowed now
  settle();
  ASSERT_EQ(events().size(), 3u);
  EXPECT_EQ(events().at(2).body.at("reason"), "NameNotAllowed");
  world.rules.namespaces.clear();
  world.taken.endpoints.clear();
  settle();
  EXPECT_EQ(condition("Accepted"), "True SecretMissing");
  EXPECT_EQ(events().size(), 3u);
  world.taken.endpoints.insert("iris");
  settle();
  EXPECT_EQ(events().size(), 5u) << "the endpoint and its deployment are refused anew";
}

TEST_F(EventTest, IsNotRepeatedByARouterThatFindsTheCondition) {
  start("a");
  settle();
  ASSERT_EQ(events_of("iris").size(), 1u);
  routers["a"].reporter.reset();
  server.answer_all();
  // Its next version is refused for the same reason.
  json::object next = iris().object();
  next["metadata"].as_object()["generation"] = 2;
  next["metadata"].as_object()["resourceVersion"] = std::to_string(server.version);
  next["status"] = server.statuses[kIris];
  world.endpoints->changed(next);
  start("b");
  settle();
  ASSERT_EQ(server.holder, "b");
  EXPECT_EQ(server.statuses[kIris].at("observedGeneration"), 2) << "b has written it";
  EXPECT_EQ(events_of("iris").size(), 1u);
}

TEST_F(EventTest, IsOneThoughTwoRoutersTellIt) {
  auto client = kubernetes::test::make_client(shard, resolver, server.cluster());
  const auto names = [&](const std::string& instance, const std::string& since) {
    kubernetes::Errands errands(*client, group, {}, [] { return true; });
    EventSource source;
    source.instance = instance;
    EventWriter writer(shard, errands, source, [this] { return wall(); });
    ResourceStatus status;
    status.key = {"team-a", "iris"};
    status.uid = "uid";
    status.conditions = {{condition::kAccepted, false, "NameConflict", "it is there"}};
    writer.refused(status, since);
    pass(milliseconds(1));
    return std::string(events().back().body.at("metadata").at("name").as_string().c_str());
  };
  const std::string name = names("a", "2027-01-15T08:00:00Z");
  EXPECT_EQ(name.find("iris."), 0u);
  EXPECT_EQ(names("b", "2027-01-15T08:00:00Z"), name);
  EXPECT_NE(names("b", "2027-01-15T08:00:01Z"), name) << "another refusal";
}

TEST_F(EventTest, TakesAnEventThatIsThereForTold) {
  server.refusals[kEvents] = 409;
  start("a");
  for (int i = 0; i < 5; ++i) settle();
  EXPECT_EQ(events().size(), 2u);
  EXPECT_EQ(routers["a"].reporter->events_dropped(), 0u);
}

TEST_F(EventTest, AreTenASecondAndTheRestIsCounted) {
  for (int i = 0; i < 60; ++i) {
    world.add_endpoint({.name = "endpoint" + std::to_string(i)});
    world.taken.endpoints.insert("endpoint" + std::to_string(i));
  }
  start("a");
  pass(milliseconds(900));
  EXPECT_LE(events().size(), 20u);
  EXPECT_GE(events().size(), 10u);
  pass(seconds(10));
  EXPECT_EQ(events().size() + routers["a"].reporter->events_dropped(), 62u);
  EXPECT_GT(routers["a"].reporter->events_dropped(), 30u);
}

class KeysTest : public ReporterTest {
 protected:
  KeysTest() { options.create_keys = true; }
  static constexpr const char* kSecrets = "/api/v1/namespaces/team-a/secrets";

  std::vector<ReportServer::Request> secrets() {
    std::vector<ReportServer::Request> some;
    for (const auto& each : server.log) {
      if (each.path.find("/secrets") != each.path.npos) some.push_back(each);
    }
    return some;
  }
  /// A Secret with these keys that the endpoint with that uid owns.
  static json::object owned(const std::map<std::string, std::string>& keys, const std::string& uid = "team-a-iris") {
    json::object object = secret(keys);
    json::object& metadata = object["metadata"].as_object();
    metadata["resourceVersion"] = "77";
    const json::object owner{
        {"apiVersion", "inference-router.dev/v1alpha1"}, {"kind", "OnlineEndpoint"}, {"name", "iris"}, {"uid", uid}};
    metadata["ownerReferences"] = json::array{owner};
    return object;
  }
  static std::string decoded(const json::value& value) {
    std::string text;
    EXPECT_TRUE(absl::Base64Unescape(value.as_string().c_str(), &text));
    return text;
  }
};

TEST_F(KeysTest, AreMadeInASecretThatTheEndpointOwns) {
  world.add_endpoint(iris());
  start("a");
  ASSERT_EQ(secrets().size(), 1u);
  const ReportServer::Request made = secrets().at(0);
  EXPECT_EQ(made.method, "POST");
  EXPECT_EQ(made.path, kSecrets);
  EXPECT_EQ(
      json::value(made.body.at("metadata")),
      json::parse(R"({"name":"iris-keys","namespace":"team-a","ownerReferences":[{"apiVersion":"inference-router.dev/v1alpha1",
              "kind":"OnlineEndpoint","name":"iris","uid":"team-a-iris","controller":false,"blockOwnerDeletion":false}]})"));
  EXPECT_EQ(made.body.at("type"), "Opaque");
  const std::string primary = decoded(made.body.at("data").at("primaryKey"));
  const std::string secondary = decoded(made.body.at("data").at("secondaryKey"));
  EXPECT_NE(primary, secondary);
  for (const std::string& key : {primary, secondary}) {
    EXPECT_EQ(key.size(), 43u);
    EXPECT_EQ(key.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), key.npos);
    std::string bytes;
    EXPECT_TRUE(absl::WebSafeBase64Unescape(key, &bytes));
    EXPECT_EQ(bytes.size(), 32u);
  }
}

TEST_F(KeysTest, AreNotMadeUnlessAskedFor) {
  options.create_keys = false;
  world.add_endpoint(iris());
  start("a");
  pass(seconds(5));
  EXPECT_TRUE(secrets().empty());
}

TEST_F(KeysTest, AreNotMadeForWhoDoesNotServeByKey) {
  world.add_endpoint({.name = "tokens", .auth_mode = "aad_token"}).add_endpoint(iris());
  world.taken.endpoints.insert("iris");
  start("a");
  pass(seconds(5));
  EXPECT_TRUE(secrets().empty());
}

TEST_F(KeysTest, AreMadeAnewWhereOneWasRemoved) {
  world.add_endpoint(iris()).add_secret(owned({{"secondaryKey", "b"}}));
  start("a");
  ASSERT_EQ(secrets().size(), 1u);
  const ReportServer::Request patch = secrets().at(0);
  EXPECT_EQ(patch.method, "PATCH");
  EXPECT_EQ(patch.path, std::string(kSecrets) + "/iris-keys");
  EXPECT_NE(patch.head.find("application/merge-patch+json"), patch.head.npos);
  EXPECT_EQ(json::value(patch.body.at("metadata")), json::parse(R"({"resourceVersion":"77"})"));
  ASSERT_EQ(patch.body.at("data").as_object().size(), 1u) << "the other key stays";
  EXPECT_EQ(decoded(patch.body.at("data").at("primaryKey")).size(), 43u);
}

TEST_F(KeysTest, AreLeftAloneWhereTheyAreComplete) {
  world.add_endpoint(iris()).add_secret(owned({{"primaryKey", "a"}, {"secondaryKey", "not visible: \x01"}}));
  start("a");
  pass(seconds(5));
  EXPECT_TRUE(secrets().empty()) << "a bad key is somebody's mistake, not a removed one";
}

TEST_F(KeysTest, AreNeverMadeInASecretOfSomebodyElse) {
  world.add_endpoint(iris()).add_secret(secret({{"primaryKey", "a"}}));
  start("a");
  pass(seconds(2));
  world.add_secret(secret({}));
  changed();
  pass(seconds(2));
  world.add_secret(owned({}, "another-uid"));
  changed();
  pass(seconds(2));
  EXPECT_TRUE(secrets().empty());
}

TEST_F(KeysTest, AreNotSentAgainWhenSomebodyWasFaster) {
  server.refusals[kSecrets] = 409;
  world.add_endpoint(iris());
  start("a");
  pass(seconds(30));
  EXPECT_EQ(secrets().size(), 1u);
}

TEST_F(KeysTest, AreTriedAgainAfterARefusalAndNotShownInTheLog) {
  server.refusals[kSecrets] = 403;
  world.add_endpoint(iris());
  testing::internal::CaptureStderr();
  start("a");
  pass(seconds(10));
  const std::string log = testing::internal::GetCapturedStderr();
  ASSERT_GE(secrets().size(), 2u);
  ASSERT_FALSE(log.empty()) << "the refusal is told";
  for (const auto& each : secrets()) {
    for (const auto& [name, value] : each.body.at("data").as_object()) {
      EXPECT_EQ(log.find(decoded(value)), log.npos);
      EXPECT_EQ(log.find(value.as_string().c_str()), log.npos);
    }
  }
}

TEST_F(KeysTest, AreMadeByTheRouterThatLeadsAlone) {
  server.refusals[kSecrets] = 201;
  world.add_endpoint(iris());
  start("a");
  start("b");
  pass(seconds(5));
  for (const auto& each : secrets()) EXPECT_EQ(each.method, "POST");
  EXPECT_EQ(secrets().size(), 1u);
}

}  // namespace
}  // namespace router::discovery

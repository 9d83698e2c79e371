#include "router/discovery/cluster_reporter.h"
#include "tests/unit/discovery/reporter_world.h"

namespace router::discovery {
namespace {

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
  ASSERT_EQ(events().size(), 2u) << "one of the endpoint, one of its deployment";
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
  world.rules.namespaces = {rules};  // the result is NameNotAllowed now
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
  EXPECT_EQ(events().size(), 5u) << "the endpoint and its deployment are refused again";
}

TEST_F(EventTest, IsNotRepeatedByARouterThatFindsTheCondition) {
  start("a");
  settle();
  ASSERT_EQ(events_of("iris").size(), 1u);
  routers["a"].reporter.reset();
  server.answer_all();
  // The next version is refused for the same reason.
  json::object next = iris().object();
  next["metadata"].as_object()["generation"] = 2;
  next["metadata"].as_object()["resourceVersion"] = std::to_string(server.version);
  next["status"] = server.statuses[kIris];
  world.endpoints->changed(next);
  start("b");
  settle();
  ASSERT_EQ(server.holder, "b");
  EXPECT_EQ(server.statuses[kIris].at("observedGeneration"), 2) << "router b has written it";
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
  EXPECT_NE(names("b", "2027-01-15T08:00:01Z"), name) << "a later refusal has another name";
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

}  // namespace
}  // namespace router::discovery

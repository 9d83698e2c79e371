// Outcomes of requests apart from their timeouts: requests that are refused before they take anything, the parts of a pod's
// answer that are passed on, and the account of each request, exactly once (contract, sections 3 and 4).

#include "router/base/log.h"
#include "tests/unit/exchange/exchange_world.h"

namespace router::test {
namespace {

using Outcome = dispatch::ReplicaReport::Outcome;

struct Admission : ExchangeTest {
  Asking& ask_with(std::string_view method, std::string_view fields, std::string_view key = "key") {
    return world.ask_whole(std::string(method) + " /api/v1/endpoint/iris/score HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " +
                           std::string(key) + "\r\n" + std::string(fields) + "\r\n");
  }
  ~Admission() override { EXPECT_TRUE(world.pods.tried.empty()) << "a refused request takes no slot"; }
};
struct Answers : ExchangeTest {};

TEST_F(Admission, RefusesConnectAndTrace) { EXPECT_TRUE(refused(ask_with("TRACE", ""), Reason::kUnsupportedMethod, 405)); }

TEST_F(Admission, RefusesWhoHasBeenHereBefore) {
  world.via = http::Via("this-one");
  world.publish(2);
  EXPECT_TRUE(refused(ask_with("POST", "Via: 1.1 this-one\r\n"), Reason::kLoop, 508));
}

TEST_F(Admission, TellsWhoHasNoKeyNothingOfDeployments) {
  EXPECT_TRUE(refused(ask_with("POST", "azureml-model-deployment: none\r\n", "wrong"), Reason::kUnauthorized, 401));
  EXPECT_TRUE(refused(ask_with("POST", "azureml-model-deployment: none\r\n"), Reason::kDeploymentNotFound, 404));
}

TEST_F(Admission, RefusesADeadlineThatCannotBeRead) {
  EXPECT_TRUE(refused(ask_with("POST", "x-request-deadline-ms: soon\r\n"), Reason::kBadRequest, 400));
}

TEST_F(Admission, RefusesAnEndpointThatIsNotThere) {
  Asking& asking = world.ask_whole("GET /api/v1/endpoint/other/score HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(refused(asking, Reason::kEndpointNotFound, 404));
}

TEST_F(Admission, AnswersWhatConcernsThisHopAloneAndDoesNotCountIt) {
  EXPECT_EQ(ask_with("OPTIONS", "Max-Forwards: 0\r\n").client.status, 200);
  EXPECT_EQ(world.told(), 0u);
}

TEST_F(Answers, AStatusIsPassedOnAsItIs) {
  Asking& asking = world.ask();
  pod().answer(503, "busy");
  EXPECT_EQ(asking.client.status, 503);
  EXPECT_EQ(asking.client.answer, "busy");
  EXPECT_EQ(world.told(Reason::kNone, 503), 1u);
  EXPECT_EQ(pod().outcome, Outcome::kSucceeded);
}

TEST_F(Answers, AManagedEndpointSaysThatItWasTheModel) {
  world.status_profile = config::StatusProfile::kManaged;
  world.publish(2);
  Asking& asking = world.ask();
  pod().answer(503, "busy");
  EXPECT_EQ(asking.client.status, 424);
  EXPECT_EQ(asking.client.answer, "busy");
  EXPECT_EQ(world.told(Reason::kModelError, 424), 1u);
}

TEST_F(Answers, AnAnswerBeforeTheRequestsEndEndsThePodsConnectionAndNotTheClients) {
  Asking& asking = world.ask("Content-Length: 100000\r\n", "half of it");
  pod().answer(401);
  EXPECT_EQ(asking.client.status, 401);
  EXPECT_TRUE(pod().closing && pod().closed);
  EXPECT_EQ(world.slots_in_use(), 0u);
  EXPECT_FALSE(asking.over);
  asking.client.send(std::string(100'000 - 10, 'x'));
  EXPECT_TRUE(asking.over && !asking.client.cut);
  EXPECT_EQ(world.told(Reason::kNone, 401), 1u);
}

TEST_F(Answers, APieceIsPassedOnAsItComes) {
  Asking& asking = world.ask();
  pod().begin_answer(200);
  pod().send("one ");
  EXPECT_EQ(asking.client.answer, "one ");
  pod().send("two");
  EXPECT_EQ(asking.client.answer, "one two");
  EXPECT_FALSE(asking.client.complete);
}

TEST_F(Answers, APieceOfTheRequestIsPassedOnAsItComes) {
  Asking& asking = world.ask("Content-Length: 100000\r\n", "one ");
  EXPECT_EQ(pod().body, "one ");
  asking.client.send("two");
  EXPECT_EQ(pod().body, "one two");
}

TEST_F(Answers, ABugOfOursEndsItsExchangeAlone) {
  log::Target nowhere;
  EXPECT_EQ(log::open("/dev/null", log::Level::kError, log::Format::kText, nowhere), "");
  log::use(nowhere);
  Asking& asking = world.ask();
  pod().plant_exception();
  log::use({});
  EXPECT_TRUE(refused(asking, Reason::kInternal, 500));
  EXPECT_EQ(world.slots_in_use(), 0u);
  EXPECT_TRUE(pod().closed);
  EXPECT_EQ(world.told(), 1u);
}

TEST_F(Answers, AHeadThatCouldNotBeReadIsToldOnce) {
  Asking& asking = world.refuse_head(Failure::downstream(Reason::kUnauthorized, "planted: of any reason"));
  EXPECT_TRUE(refused(asking, Reason::kUnauthorized, 401));
  EXPECT_TRUE(asking.client.told_to_close);
}

TEST_F(Answers, WhoIsRefusedIsToldWhenToAskAgain) {
  world.occupy();
  Asking& waits = world.ask();
  world.advance(500ms);
  EXPECT_EQ(waits.client.header("Retry-After"), "1") << "the minimum, while the pace is not known";
}

}  // namespace
}  // namespace router::test

#include "router/discovery/readmission.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/loopback.h"
#include "tests/support/test_shard.h"

namespace router::discovery {
namespace {

using namespace std::chrono_literals;
using test::Descriptor;
using test::TestShard;
using test::turn_until;
using Answer = ReturnTerms::Answer;

constexpr const char* kOk = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
constexpr const char* kNotFound = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

/// A pod with one port for scoring and another for its readiness route.
class ReadmissionTest : public ::testing::Test {
 protected:
  ReadmissionTest() {
    target.host = "pod.example";
    target.address = readiness.address();
    target.route.path = "/ready";
    terms.from = shard.now();
  }
  ~ReadmissionTest() override {
    readmission.reset();
    shard.poll();
    EXPECT_EQ(group.running(), 0u);
  }
  void start() {
    readmission = std::make_unique<Readmission>(shard, group, target, terms, [this] { ++times_well; });
    shard.poll();
  }
  void refusing(Answer answer) {
    terms.pause = 100ms;
    terms.accepts = scoring.address();
    terms.answer = answer;
  }
  /// Whether the prober requests the readiness route now. If so, the route answers `text`.
  bool answers(const std::string& text) {
    Descriptor connection = readiness.accept();
    if (!connection) return false;
    EXPECT_TRUE(turn_until(shard, [&] { return !connection.received().empty(); }));
    connection.send(text);
    EXPECT_TRUE(turn_until(shard, [&] { return connection.at_end(); }));
    return true;
  }
  bool asks_after(Duration pause) {
    shard.advance(pause - 1ms);
    if (readiness.accept()) return false;
    shard.advance(1ms);
    return answers(kNotFound);
  }

  TestShard shard;
  test::LoopbackListener scoring;
  test::LoopbackListener readiness;
  runtime::TaskGroup group{shard, 10};
  ProbeTarget target;
  ReturnTerms terms;
  int times_well = 0;
  std::unique_ptr<Readmission> readmission;
};

TEST_F(ReadmissionTest, AsksARefusingReplicaAtOnceThenSoonThenEachSecond) {
  refusing(Answer::kReady);
  start();
  EXPECT_TRUE(answers(kNotFound)) << "at once";
  for (const Duration pause : std::vector<Duration>{100ms, 200ms, 400ms, 800ms, 1s, 1s}) EXPECT_TRUE(asks_after(pause));
  shard.advance(1s);
  EXPECT_TRUE(answers(kOk));
  EXPECT_EQ(times_well, 1);
}

TEST_F(ReadmissionTest, AReplicaThatRefusesAgainStaysOut) {
  refusing(Answer::kNone);
  terms.accepts = *runtime::Address::parse("127.0.0.1", 1);  // no process listens there
  start();
  for (int times = 0; times < 5; ++times) shard.advance(1s);
  EXPECT_EQ(times_well, 0);
}

TEST_F(ReadmissionTest, AReplicaWhoseReadinessPortAnswersAndWhoseScoringPortRefusesStaysOut) {
  refusing(Answer::kReady);
  scoring.close();
  start();
  shard.advance(1s);
  EXPECT_FALSE(readiness.accept()) << "the readiness route is not requested";
  EXPECT_EQ(times_well, 0);
}

TEST_F(ReadmissionTest, ARouteThatTheRouterDoesNotKnowKeepsNoReplicaOutWhereTheSourceTellsReadiness) {
  refusing(Answer::kNone);
  readiness.close();
  start();
  EXPECT_TRUE(turn_until(shard, [&] { return times_well == 1; })) << "the scoring port has accepted a connection";
}

TEST_F(ReadmissionTest, WhereAnyAnswerWillDoAStatusOf404Does) {
  terms.answer = Answer::kAny;
  start();
  EXPECT_TRUE(answers(kNotFound));
  EXPECT_EQ(times_well, 1);
}

TEST_F(ReadmissionTest, WhereAnyAnswerWillDoSilenceDoesNot) {
  terms.answer = Answer::kAny;
  target.settings.timeout = std::chrono::seconds(2);
  start();
  const Descriptor silent = readiness.accept();
  shard.advance(2s);
  EXPECT_EQ(times_well, 0);
  shard.advance(1s);
  EXPECT_TRUE(answers(kNotFound));
  EXPECT_EQ(times_well, 1);
}

TEST_F(ReadmissionTest, IsNotAskedBeforeItsTime) {
  terms.from = shard.now() + 10s;
  start();
  EXPECT_TRUE(asks_after(10s));
  EXPECT_TRUE(asks_after(1s));
  EXPECT_EQ(times_well, 0);
}

}  // namespace
}  // namespace router::discovery

#include "router/kubernetes/errands.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "router/kubernetes/api_time.h"
#include "tests/unit/kubernetes/api_server.h"

namespace router::kubernetes::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class Recorder final : public Sender {
 public:
  std::optional<ApiRequest> request_for(const std::string& name) override {
    if (unneeded) return std::nullopt;
    if (short_of_memory == "asked") {
      short_of_memory.clear();
      throw std::bad_alloc();
    }
    ApiRequest request;
    request.path = "/" + name;
    return request;
  }
  Outcome answered(const std::string& name, const ApiAnswer& answer) override {
    if (short_of_memory == "answered") {
      short_of_memory.clear();
      throw std::bad_alloc();
    }
    answers.push_back(name + " " + std::to_string(answer.status));
    return outcome;
  }

  void unanswered(const std::string& name, const std::string& why) override { failures.push_back(name + ": " + why); }

  bool unneeded = false;
  std::string short_of_memory;  // the call that throws std::bad_alloc next: `asked` or `answered`
  Outcome outcome = Outcome::kDone;
  std::vector<std::string> answers;
  std::vector<std::string> failures;
};

class ErrandsTest : public ::testing::Test {
 protected:
  ~ErrandsTest() override {
    errands.reset();
    for (int i = 0; i < 20; ++i) shard.poll();
    EXPECT_EQ(group.running(), 0u);
  }
  void ask(const std::string& name) { errands->ask(sender, name); }
  /// Answers each request that comes without time passing, and returns their paths.
  std::vector<std::string> serve(int code = 200, const std::string& fields = "") {
    std::vector<std::string> paths;
    while (server.is_asked_now()) {
      const Asked asked = server.next();
      paths.push_back(asked.target);
      asked.answer(code, "{}", fields);
    }
    return paths;
  }
  using Paths = std::vector<std::string>;

  TestShard shard;
  runtime::Resolver resolver{shard};
  ApiServer server{shard};
  std::unique_ptr<ApiClient> client = make_client(shard, resolver, server.cluster());
  runtime::TaskGroup group{shard, 10};
  bool may_send = true;
  Recorder sender;
  std::unique_ptr<Errands> errands = std::make_unique<Errands>(*client, group, ErrandsOptions(), [this] { return may_send; });
};

TEST_F(ErrandsTest, SendsAtOnceAndTellsTheAnswer) {
  ask("a");
  EXPECT_EQ(serve(), Paths{"/a"});
  EXPECT_EQ(sender.answers, std::vector<std::string>{"a 200"});
  shard.advance(seconds(10));
  EXPECT_EQ(serve(), Paths());
}

TEST_F(ErrandsTest, GoesOnAfterItsSenderHadNoMemory) {
  for (const char* moment : {"asked", "answered"}) {
    for (std::size_t i = 0; i < 2 * ErrandsOptions().under_way_max; ++i) {
      sender.answers.clear();
      sender.short_of_memory = moment;
      ask("a");
      serve();
      EXPECT_TRUE(sender.answers.empty()) << moment;
      shard.advance(seconds(1));
      EXPECT_EQ(serve(), Paths{"/a"}) << moment;
      EXPECT_EQ(sender.answers, std::vector<std::string>{"a 200"}) << moment;
      shard.advance(seconds(1));
    }
  }
  EXPECT_EQ(group.failed(), 0u);
}

TEST_F(ErrandsTest, MakesOneRequestASecondOfManyAskings) {
  int requests = 0;
  for (int i = 0; i < 100; ++i) {
    ask("a");
    requests += static_cast<int>(serve().size());
    shard.advance(milliseconds(100));
  }
  EXPECT_EQ(requests, 10);
}

TEST_F(ErrandsTest, SpacesEachErrandForItself) {
  ask("a");
  ask("b");
  EXPECT_EQ(serve().size(), 2u);
  ask("a");
  ask("c");
  EXPECT_EQ(serve(), Paths{"/c"});
}

TEST_F(ErrandsTest, AsksAgainForWhatWasAskedWhileItWasUnderWay) {
  ask("a");
  const Asked first = server.next();
  ask("a");
  shard.advance(seconds(2));
  EXPECT_FALSE(server.is_asked_now()) << "an errand has one request at a time";
  first.answer(200, "{}");
  EXPECT_EQ(serve(), Paths{"/a"});
}

TEST_F(ErrandsTest, HasFourUnderWayAndThenTheNextOfThoseThatWait) {
  for (int i = 0; i < 9; ++i) ask("errand" + std::to_string(i));
  std::vector<Asked> asked;
  while (server.is_asked_now()) asked.push_back(server.next());
  ASSERT_EQ(asked.size(), 4u);
  asked[0].answer(200, "{}");
  EXPECT_EQ(server.next().target, "/errand4");
  EXPECT_FALSE(server.is_asked_now());
}

TEST_F(ErrandsTest, ForgetsWhatIsNotNeededAnyMoreWhenItsTurnComes) {
  sender.unneeded = true;
  ask("a");
  EXPECT_EQ(serve(), Paths());
  sender.unneeded = false;
  shard.advance(seconds(5));
  EXPECT_EQ(serve(), Paths());
  ask("a");
  EXPECT_EQ(serve(), Paths{"/a"});
}

TEST_F(ErrandsTest, ForgetsWhatIsDueWhileItMayNotSend) {
  may_send = false;
  ask("a");
  EXPECT_EQ(serve(), Paths());
  may_send = true;
  shard.advance(seconds(5));
  EXPECT_EQ(serve(), Paths());
}

TEST_F(ErrandsTest, TriesAgainWithPausesThatDouble) {
  sender.outcome = Sender::Outcome::kAgain;
  ask("a");
  EXPECT_EQ(serve(403).size(), 1u);
  for (const int pause : {1, 2, 4, 8, 16, 32, 60, 60}) {
    shard.advance(seconds(pause) - milliseconds(1));
    EXPECT_EQ(serve(403), Paths()) << pause;
    shard.advance(milliseconds(1));
    EXPECT_EQ(serve(403), Paths{"/a"}) << pause;
  }
  EXPECT_EQ(sender.answers.size(), 9u);
}

TEST_F(ErrandsTest, HoldsAllBackWhileTheServerHasTrouble) {
  ask("a");
  EXPECT_EQ(serve(503, "Retry-After: 5\r\n"), Paths{"/a"});
  EXPECT_TRUE(sender.answers.empty()) << "a 503 says nothing about the errand";
  ask("b");
  shard.advance(milliseconds(4999));
  EXPECT_EQ(serve(), Paths());
  shard.advance(milliseconds(1));
  EXPECT_EQ(serve().size(), 2u);
  EXPECT_EQ(sender.answers.size(), 2u);
}

TEST_F(ErrandsTest, TriesAgainWhatBrokeOff) {
  ask("a");
  server.next().cut();
  for (int i = 0; i < 20; ++i) shard.poll();
  EXPECT_EQ(serve(), Paths()) << "the errand pauses for a second";
  shard.advance(seconds(2));
  EXPECT_EQ(serve(), Paths{"/a"});
  EXPECT_EQ(sender.answers, std::vector<std::string>{"a 200"});
}

TEST_F(ErrandsTest, TellsWhyARequestHasNoAnswer) {
  ask("a");
  serve(503);
  EXPECT_EQ(sender.failures, std::vector<std::string>{"a: " + client->name() + " answers a request with 503"});
  shard.advance(seconds(2));
  const Asked hangs = server.next();
  shard.advance(Errands::kRequestMax);
  for (int i = 0; i < 20; ++i) shard.poll();
  EXPECT_EQ(sender.failures.size(), 2u);
  EXPECT_TRUE(sender.answers.empty());
  shard.advance(seconds(2));
  serve();
  EXPECT_EQ(sender.failures.size(), 2u);
}

TEST_F(ErrandsTest, GivesUpARequestThatHangs) {
  ask("a");
  const Asked hangs = server.next();
  shard.advance(Errands::kRequestMax);
  shard.advance(seconds(2));
  EXPECT_EQ(serve(), Paths{"/a"});
}

TEST_F(ErrandsTest, CallsNothingAfterItsEnd) {
  ask("a");
  const Asked asked = server.next();
  ask("b");
  errands.reset();
  asked.answer(200, "{}");
  shard.advance(seconds(5));
  for (int i = 0; i < 20; ++i) shard.poll();
  EXPECT_TRUE(sender.answers.empty());
}

TEST(ApiTime, IsWrittenInUtc) {
  const WallTime time = WallTime() + seconds(1'767'225'599) + std::chrono::microseconds(42);
  EXPECT_EQ(time_text(time), "2025-12-31T23:59:59Z");
  EXPECT_EQ(micro_time_text(time), "2025-12-31T23:59:59.000042Z");
}

}  // namespace
}  // namespace router::kubernetes::test

#include "router/serving/withdrawals.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "router/serving/fleet_withdrawals.h"
#include "tests/support/test_shard.h"

namespace router::serving {
namespace {

using namespace std::chrono_literals;

constexpr const char* kPod = "/127.0.0.1:5001";
constexpr const char* kOtherPod = "/127.0.0.1:5002";

/// What a router serves: one deployment with two replicas of one slot each.
class Served {
 public:
  explicit Served(test::TestShard& control) : control_(control) {
    config::Config config;
    config::Endpoint& endpoint = config.endpoints.emplace_back();
    endpoint.name = "iris";
    config::Deployment& deployment = endpoint.deployments.emplace_back();
    deployment.endpoint_name = "iris";
    deployment.name = "blue";
    deployment.max_concurrent_requests_per_instance = 1;
    deployment.replicas = {{"127.0.0.1", 5001}, {"127.0.0.1", 5002}};
    LiveDeployments::Change change = live.prepare(config, {}, 1);
    live.apply(change);
    live.remove_others(change);
    for (const auto& [name, replica] : live.get("iris/blue").replicas) queue().set_ready(replica.replica, true);
  }
  ~Served() {
    live.stop();
    control_.poll();
    EXPECT_TRUE(control_.run(live.stopped(control_.now())));
  }

  dispatch::RequestQueue& queue() const { return *live.get("iris/blue").queue; }
  dispatch::HeldSlot take() {
    runtime::Wakeup wakeup(control_);
    Result<dispatch::RequestQueue::Entry> entry = queue().enter(wakeup);
    return entry ? std::move(entry->held_slot) : dispatch::HeldSlot();
  }
  /// Which pods give a slot now.
  std::set<std::string> usable() {
    std::set<std::string> pods;
    std::vector<dispatch::HeldSlot> held;
    for (dispatch::HeldSlot next = take(); next; next = take()) {
      pods.insert("/" + next.replica().name());
      held.push_back(std::move(next));
    }
    return pods;
  }

 private:
  test::TestShard& control_;
  runtime::ShardSet shards_{1, control_.clock()};
  metrics::Registry metrics_{1, control_.clock()};
  runtime::Resolver resolver_{control_};

 public:
  LiveDeployments live{control_, shards_, metrics_, resolver_};
};

using Pods = std::set<std::string>;

struct WithdrawalsOfAProcess : ::testing::Test {
  void pass(Duration time) {
    control.advance(time);
    control.poll();
  }
  test::TestShard control;
  Served served{control};
  Withdrawals withdrawals{control, served.live};
};

TEST_F(WithdrawalsOfAProcess, LapseByThemselvesUnlessTheyAreRenewed) {
  EXPECT_EQ(served.usable(), (Pods{kPod, kOtherPod}));
  withdrawals.say("leader", {kPod}, 3s);
  EXPECT_EQ(served.usable(), Pods{kOtherPod});
  EXPECT_TRUE(withdrawals.withdrawn(kPod));
  pass(2s);
  withdrawals.say("leader", {kPod}, 3s);
  pass(2900ms);
  EXPECT_EQ(served.usable(), Pods{kOtherPod});
  pass(200ms);
  EXPECT_EQ(served.usable(), (Pods{kPod, kOtherPod}));
  EXPECT_EQ(withdrawals.size(), 0U);
}

TEST_F(WithdrawalsOfAProcess, AreReplacedByWhatTheSameSpeakerSaysNext) {
  withdrawals.say("leader", {kPod}, 3s);
  withdrawals.say("leader", {kOtherPod}, 3s);
  EXPECT_EQ(served.usable(), Pods{kPod});
  withdrawals.say("another", {kOtherPod}, 5s);
  withdrawals.say("leader", {}, 3s);
  EXPECT_EQ(served.usable(), Pods{kPod}) << "the other speaker's word holds";
  pass(5s);
  EXPECT_EQ(served.usable(), (Pods{kPod, kOtherPod}));
}

TEST_F(WithdrawalsOfAProcess, HoldForAtMostHalfAMinuteAndOfSoManySpeakers) {
  withdrawals.say("leader", {kPod}, 1h);
  pass(30s);
  EXPECT_EQ(served.usable(), (Pods{kPod, kOtherPod}));
  for (std::size_t i = 0; i < Withdrawals::kSpeakersMax; ++i) withdrawals.say("speaker " + std::to_string(i), {"/a"}, 3s);
  withdrawals.say("one too many", {kPod}, 3s);
  EXPECT_EQ(served.usable(), (Pods{kPod, kOtherPod}));
  pass(3s);
  withdrawals.say("one too many", {kPod}, 3s);
  EXPECT_EQ(served.usable(), Pods{kOtherPod}) << "those who are silent give their place back";
}

TEST_F(WithdrawalsOfAProcess, CountWhatRunsAndLetItRun) {
  std::vector<dispatch::HeldSlot> held;
  held.push_back(served.take());
  held.push_back(served.take());
  withdrawals.say("leader", {kPod, "/not served here"}, 3s);
  EXPECT_EQ(withdrawals.running(kPod), 1U);
  EXPECT_EQ(withdrawals.running("/not served here"), 0U);
  for (dispatch::HeldSlot& each : held) EXPECT_TRUE(each);
  held.clear();
  EXPECT_EQ(withdrawals.running(kPod), 0U);
  withdrawals.stop();
  EXPECT_EQ(served.usable(), (Pods{kPod, kOtherPod}));
}

/// Three members, `a` `b` `c`, each with the same pods. Notes wait until `carry`.
struct WithdrawalsOfAFleet : ::testing::Test {
  struct Member {
    Member(WithdrawalsOfAFleet& fleet, std::string name)
        : id(std::move(name)),
          served(fleet.control),
          withdrawals({.control = fleet.control,
                       .live = served.live,
                       .tell =
                           [this, &fleet](const std::optional<std::string>& to, const fleet::Note& note) {
                             fleet.notes.push_back({id, to, note});
                             return absl::OkStatus();
                           },
                       .members = [&fleet] { return fleet.members; },
                       .own_id = [this] { return id; }}) {}
    const std::string id;
    Served served;
    FleetWithdrawals withdrawals;
  };
  struct Sent {
    std::string from;
    std::optional<std::string> to;
    fleet::Note note;
  };

  /// Delivers all notes, and what follows from them, but those to members that are cut off.
  void carry() {
    for (; !notes.empty(); notes.pop_front()) {
      for (const auto& each : {a, b, c}) {
        if (each->id == notes.front().from || notes.front().to.value_or(each->id) != each->id || cut.contains(each->id))
          continue;
        const Sent sent = notes.front();
        if (sent.note.topic == scaling::kWithdrawTopic) each->withdrawals.hear_withdraw(sent.from, sent.note);
        if (sent.note.topic == scaling::kRunningTopic) each->withdrawals.hear_running(sent.from, sent.note);
      }
    }
  }

  test::TestShard control;
  std::deque<Sent> notes;
  Pods members{"a", "b", "c"};
  Pods cut;
  std::shared_ptr<Member> a = std::make_shared<Member>(*this, "a");
  std::shared_ptr<Member> b = std::make_shared<Member>(*this, "b");
  std::shared_ptr<Member> c = std::make_shared<Member>(*this, "c");
};

TEST_F(WithdrawalsOfAFleet, AreObeyedByAllAndTheLeaderKnowsWhenThePodIsIdle) {
  std::vector<dispatch::HeldSlot> held;
  held.push_back(b->served.take());
  held.push_back(b->served.take());
  ASSERT_TRUE(a->withdrawals.withdraw({kPod}, 3s).ok());
  EXPECT_EQ(a->withdrawals.running(kPod), std::nullopt) << "nobody has answered";
  carry();
  for (const auto& each : {a, c}) EXPECT_EQ(each->served.usable(), Pods{kOtherPod}) << each->id;
  EXPECT_EQ(a->withdrawals.running(kPod), 1U);
  EXPECT_EQ(a->withdrawals.running(kOtherPod), std::nullopt);
  held.clear();
  EXPECT_EQ(a->withdrawals.running(kPod), 1U) << "until b is asked again";
  ASSERT_TRUE(a->withdrawals.withdraw({kPod}, 3s).ok());
  carry();
  EXPECT_EQ(a->withdrawals.running(kPod), 0U);
  EXPECT_EQ(b->served.usable(), Pods{kOtherPod});
  ASSERT_TRUE(a->withdrawals.withdraw({}, 3s).ok());
  carry();
  EXPECT_EQ(b->served.usable(), (Pods{kPod, kOtherPod}));
  ASSERT_TRUE(a->withdrawals.withdraw({}, 3s).ok());
  EXPECT_TRUE(notes.empty()) << "nothing is withdrawn, and nothing is said";
}

TEST_F(WithdrawalsOfAFleet, AreNotIdleWhileAMemberDoesNotAnswer) {
  cut = {"c"};
  ASSERT_TRUE(a->withdrawals.withdraw({kPod}, 3s).ok());
  carry();
  EXPECT_EQ(a->withdrawals.running(kPod), std::nullopt);
  members = {"a", "b"};
  EXPECT_EQ(a->withdrawals.running(kPod), 0U) << "it is no member any more";
}

TEST_F(WithdrawalsOfAFleet, AreNotIdleByAnAnswerOfAnEarlierTime) {
  ASSERT_TRUE(a->withdrawals.withdraw({kPod}, 3s).ok());
  carry();
  EXPECT_EQ(a->withdrawals.running(kPod), 0U);
  ASSERT_TRUE(a->withdrawals.withdraw({}, 3s).ok());
  notes.clear();  // lost: the newest answers are those of before
  b->withdrawals.stop();
  std::vector<dispatch::HeldSlot> held;
  held.push_back(b->served.take());
  held.push_back(b->served.take());
  ASSERT_TRUE(a->withdrawals.withdraw({kPod}, 3s).ok());
  EXPECT_EQ(a->withdrawals.running(kPod), std::nullopt);
  carry();
  EXPECT_EQ(a->withdrawals.running(kPod), 1U);
}

TEST_F(WithdrawalsOfAFleet, AreNotTakenFromStrangersNorFromTextsThatAreWrong) {
  const fleet::Note right{.topic = "withdraw", .key = "pods", .body = scaling::encode_withdraw({{kPod}, 3, 1}).value()};
  b->withdrawals.hear_withdraw("stranger", right);
  b->withdrawals.hear_withdraw("a", {.topic = "withdraw", .key = "", .body = "1\n3 x\n"});
  EXPECT_EQ(b->withdrawals.here().size(), 0U);
  EXPECT_TRUE(notes.empty());
  b->withdrawals.hear_withdraw("a", right);
  EXPECT_EQ(b->withdrawals.here().size(), 1U);
  EXPECT_EQ(notes.size(), 1U);
}

TEST_F(WithdrawalsOfAFleet, AreRefusedIfTheyAreTooMany) {
  Pods many;
  for (std::size_t i = 0; i <= scaling::kWithdrawnMax; ++i) many.insert("/pod-" + std::to_string(i));
  EXPECT_FALSE(a->withdrawals.withdraw(many, 3s).ok());
  EXPECT_EQ(a->withdrawals.here().size(), 0U);
}

}  // namespace
}  // namespace router::serving

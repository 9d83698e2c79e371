#include "router/kubernetes/leader_election.h"

#include <gtest/gtest.h>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <optional>

#include "router/kubernetes/json.h"
#include "tests/unit/kubernetes/api_server.h"

namespace router::kubernetes::test {
namespace {

namespace json = boost::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// An API server with one Lease. It knows versions, conflicts, and a Lease that does not exist.
class LeaseServer {
 public:
  explicit LeaseServer(TestShard& shard) : server_(shard), shard_(shard) {}

  ClusterConfig cluster() const { return server_.cluster(); }
  /// Answers all requests that come without time passing.
  void serve() {
    while (server_.is_asked_now()) answer(server_.next());
  }
  /// The next request, which is not answered yet.
  Asked next() { return server_.next(); }
  void answer(const Asked& asked) {
    ++requests;
    last = asked;
    if (refuses != 0) return asked.answer(refuses, status(refuses, "no"));
    const auto sent = asked.body.empty() ? json::object() : *parse_object(asked.body);
    if (asked.method == "GET") return lease ? reply(asked, 200) : asked.answer(404, status(404, "not found"));
    if (asked.method == "POST" && lease) return asked.answer(409, status(409, "already exists"));
    if (asked.method == "PUT" && (!lease || metadata_text(sent, "resourceVersion") != metadata_text(*lease, "resourceVersion")))
      return asked.answer(409, status(409, "the object has been modified"));
    write(sent);
    reply(asked, asked.method == "POST" ? 201 : 200);
  }
  void write(json::object object) {
    object["metadata"].get_object()["resourceVersion"] = std::to_string(++version_);
    lease = std::move(object);
  }
  /// Writes the Lease as another router would.
  void set_holder(const std::string& holder, int duration = 15) {
    json::object object = lease ? *lease : json::object{{"metadata", json::object{{"name", "router"}}}};
    object["spec"] = json::object{{"holderIdentity", holder},
                                  {"leaseDurationSeconds", duration},
                                  {"renewTime", std::to_string(version_)},
                                  {"leaseTransitions", 4}};
    write(std::move(object));
  }
  std::string spec(const char* key) const {
    const json::value& value = lease->at("spec").at(key);
    return value.is_string() ? std::string(value.get_string()) : json::serialize(value);
  }

  std::optional<json::object> lease;
  int refuses = 0;  // if not 0, the status of the answer to every request
  int requests = 0;
  Asked last;

 private:
  void reply(const Asked& asked, int code) { asked.answer(code, json::serialize(*lease)); }
  ApiServer server_;
  TestShard& shard_;
  int version_ = 100;
};

class LeaderElectionTest : public ::testing::Test {
 protected:
  struct Candidate {
    std::unique_ptr<ApiClient> client;
    std::vector<bool> told;
    bool short_of_memory = false;  // the next notification throws std::bad_alloc
    std::unique_ptr<LeaderElection> election;
  };

  LeaderElectionTest() {
    for (const char* name : {"a", "b"}) candidates[name].client = make_client(shard, resolver, server.cluster());
  }
  ~LeaderElectionTest() override {
    for (auto& [name, candidate] : candidates) candidate.election.reset();
    server.serve();
    shard.advance(LeaderElection::kReleaseMax);
    EXPECT_EQ(group.running(), 0u);
  }
  void start(const std::string& name) {
    LeaderElectionOptions options;
    options.lease_name = "router";
    options.lease_namespace = "system";
    options.identity = name;
    Candidate& candidate = candidates[name];
    candidate.election = std::make_unique<LeaderElection>(*candidate.client, group, options, [&candidate](bool leads) {
      if (std::exchange(candidate.short_of_memory, false)) throw std::bad_alloc();
      candidate.told.push_back(leads);
    });
    server.serve();
  }
  void stop(const std::string& name) {
    candidates[name].election.reset();
    server.serve();
  }
  bool leads(const std::string& name) { return candidates[name].election->leading(); }
  std::vector<bool>& told(const std::string& name) { return candidates[name].told; }
  /// Lets time pass while the server answers.
  void pass(Duration time) {
    for (; time > Duration{}; time -= milliseconds(500)) {
      shard.advance(milliseconds(500));
      server.serve();
    }
  }

  TestShard shard;
  runtime::Resolver resolver{shard};
  LeaseServer server{shard};
  runtime::TaskGroup group{shard, 10};
  std::map<std::string, Candidate> candidates;
};

TEST_F(LeaderElectionTest, GoesOnAfterMemoryWasShort) {
  candidates["a"].short_of_memory = true;
  start("a");
  EXPECT_EQ(server.spec("holderIdentity"), "a");
  pass(seconds(60));
  EXPECT_TRUE(leads("a")) << "it renews the Lease";
  EXPECT_EQ(group.failed(), 0u);
}

TEST_F(LeaderElectionTest, MakesTheLeaseAndRenewsItInTime) {
  start("a");
  EXPECT_TRUE(leads("a"));
  EXPECT_EQ(told("a"), std::vector{true});
  EXPECT_EQ(metadata_text(*server.lease, "name"), "router");
  EXPECT_EQ(metadata_text(*server.lease, "namespace"), "system");
  EXPECT_EQ(server.spec("holderIdentity"), "a");
  EXPECT_EQ(server.spec("leaseDurationSeconds"), "15");
  EXPECT_EQ(server.spec("leaseTransitions"), "0");
  EXPECT_EQ(server.spec("renewTime").size(), std::string("2026-01-01T00:00:00.000000Z").size());
  const int before = server.requests;
  pass(seconds(60));
  EXPECT_TRUE(leads("a"));
  EXPECT_EQ(server.requests - before, 30) << "one request every two seconds";
  EXPECT_EQ(server.last.method, "PUT");
  EXPECT_TRUE(server.last.target.starts_with("/apis/coordination.k8s.io/v1/namespaces/system/leases/router?"));
  EXPECT_EQ(told("a"), std::vector{true});
}

TEST_F(LeaderElectionTest, LetsOneOfTwoLead) {
  start("a");
  start("b");
  pass(seconds(60));
  EXPECT_TRUE(leads("a"));
  EXPECT_FALSE(leads("b"));
  EXPECT_TRUE(told("b").empty());
}

TEST_F(LeaderElectionTest, PassesOnToTheOtherAtOnceWhenItIsGivenUp) {
  start("a");
  start("b");
  stop("a");
  EXPECT_EQ(server.spec("holderIdentity"), "");
  EXPECT_EQ(told("a"), std::vector{true}) << "the callback is not called after the end";
  pass(seconds(2));
  EXPECT_TRUE(leads("b"));
  EXPECT_EQ(server.spec("leaseTransitions"), "1");
}

TEST_F(LeaderElectionTest, TakesALeaseOverThatIsNotRenewedAndNotBefore) {
  server.set_holder("gone", 20);
  start("b");
  pass(milliseconds(19'500));
  EXPECT_FALSE(leads("b"));
  pass(seconds(3));
  EXPECT_TRUE(leads("b"));
  EXPECT_EQ(server.spec("leaseTransitions"), "5");
}

TEST_F(LeaderElectionTest, WaitsAsLongAsAnotherRenewsWhateverItsClockSays) {
  server.set_holder("other");
  start("b");
  for (int i = 0; i < 10; ++i) {
    pass(seconds(10));
    server.set_holder("other");
    EXPECT_FALSE(leads("b"));
  }
}

TEST_F(LeaderElectionTest, DoesNotLeadWhenAnotherWasFaster) {
  server.set_holder("");
  LeaderElectionOptions options;
  start("a");
  ASSERT_TRUE(leads("a"));
  server.set_holder("b");  // `a` has been asleep, and `b` took the Lease over
  pass(seconds(2));
  EXPECT_FALSE(leads("a"));
  EXPECT_EQ(told("a"), (std::vector{true, false}));
  EXPECT_EQ(server.spec("holderIdentity"), "b") << "a write with an older version has no effect";
}

TEST_F(LeaderElectionTest, KeepsALeaseThatSomebodyHasOnlyAnnotated) {
  start("a");
  server.write(*server.lease);
  pass(seconds(2));
  EXPECT_TRUE(leads("a"));
  EXPECT_EQ(told("a"), std::vector{true});
  EXPECT_EQ(server.spec("leaseTransitions"), "0");
}

TEST_F(LeaderElectionTest, StopsLeadingWhenItCannotRenewBeforeAnotherMayTakeOver) {
  start("a");
  server.refuses = 500;
  pass(milliseconds(9'500));
  EXPECT_TRUE(leads("a"));
  pass(milliseconds(500));
  EXPECT_FALSE(leads("a"));
  EXPECT_EQ(told("a"), (std::vector{true, false}));
  server.refuses = 0;
  pass(seconds(3));
  EXPECT_TRUE(leads("a")) << "it still holds the Lease";
  EXPECT_EQ(told("a"), (std::vector{true, false, true}));
}

TEST_F(LeaderElectionTest, StopsLeadingInTimeWhileARequestHangs) {
  start("a");
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(leads("a"));
    shard.advance(milliseconds(500));
  }
  EXPECT_FALSE(leads("a"));
  EXPECT_EQ(told("a"), (std::vector{true, false}));
}

TEST_F(LeaderElectionTest, DoesNotLeadOnAnAnswerThatComesTooLate) {
  LeaderElectionOptions options;
  options.lease_name = "router";
  options.lease_namespace = "system";
  options.identity = "a";
  options.renew_deadline = seconds(3);
  Candidate& candidate = candidates["a"];
  candidate.election =
      std::make_unique<LeaderElection>(*candidate.client, group, options, [](bool) { FAIL() << "it does not lead"; });
  server.answer(server.next());  // the Lease does not exist
  const Asked creation = server.next();
  shard.advance(seconds(3));
  server.answer(creation);
  EXPECT_FALSE(leads("a"));
  for (int i = 0; i < 50; ++i) shard.poll();
  EXPECT_FALSE(leads("a"));
}

TEST_F(LeaderElectionTest, GivesUpALeaseWhoseRenewalWasUnderWay) {
  start("a");
  shard.advance(seconds(2));
  const Asked renewal = server.next();
  candidates["a"].election.reset();
  server.serve();
  EXPECT_EQ(server.spec("holderIdentity"), "");
}

TEST_F(LeaderElectionTest, GivesUpNothingThatAnotherTookMeanwhile) {
  start("a");
  shard.advance(seconds(2));
  const Asked renewal = server.next();
  server.set_holder("b");
  candidates["a"].election.reset();
  server.serve();
  EXPECT_EQ(server.spec("holderIdentity"), "b");
}

TEST_F(LeaderElectionTest, GivesUpNothingThatIsNotItsOwn) {
  server.set_holder("other");
  start("b");
  stop("b");
  EXPECT_EQ(server.spec("holderIdentity"), "other");
}

TEST_F(LeaderElectionTest, GoesOnWithoutRightsAndEndsNothing) {
  server.refuses = 403;
  start("a");
  pass(seconds(30));
  EXPECT_FALSE(leads("a"));
  server.refuses = 0;
  pass(seconds(2));
  EXPECT_TRUE(leads("a"));
}

}  // namespace
}  // namespace router::kubernetes::test

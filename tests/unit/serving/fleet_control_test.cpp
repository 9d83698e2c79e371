#include "router/serving/fleet_control.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tests/support/test_shard.h"
#include "tls/psk.h"

namespace router::serving {
namespace {

using namespace std::chrono_literals;
using dispatch::Coverage;
using dispatch::NamespaceHome;

constexpr const char* kPod = "/127.0.0.1:5001";
constexpr const char* kKey = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";

Coverage::BootTime boot_now() noexcept { return Coverage::BootTime(1s); }

/// A router with one deployment of a file, which has one replica, and a fleet that the test speaks for.
class ControlOfAFleet : public ::testing::Test {
 protected:
  ControlOfAFleet() {
    membership->coverage().set_until(Coverage::kAlways);
    live.join_fleet({membership, control_side.homes(), [this] { control_side.deployments_changed(); }});
    EXPECT_TRUE(peers.replace_keys(tls::PskKeys::parse(kKey, "keys").value()).ok());
    publish(1);
  }
  ~ControlOfAFleet() override {
    control_side.stop();
    live.stop();
    control.poll();
    EXPECT_TRUE(control.run(live.stopped(control.now())));
  }

  void publish(std::uint32_t slots) {
    config::Config config;
    config::Endpoint& endpoint = config.endpoints.emplace_back();
    endpoint.name = "iris";
    config::Deployment& deployment = endpoint.deployments.emplace_back();
    deployment.endpoint_name = "iris";
    deployment.name = "blue";
    deployment.max_concurrent_requests_per_instance = slots;
    deployment.request_timeout = request_timeout;
    if (has_replica) deployment.replicas.push_back({"127.0.0.1", 5001});
    settings = deployment;
    if (has_free) {
      config::Deployment& free = endpoint.deployments.emplace_back(settings);
      free.name = "free";
      free.max_concurrent_requests_per_instance = 0;
      free.abort_wait = 2s;
      free_settings = free;
    }
    LiveDeployments::Change change = live.prepare(config, {}, ++generation);
    live.apply(change);
    live.remove_others(change);
    pass(0ms);
  }
  void pass(Duration time) {
    control.advance(time);
    control.poll();
  }
  /// News of an assignment: where the home is, and so many slots of the pod. `served`: the newest that the fleet knows.
  void tell(std::uint64_t version, fleet::NamespaceAssignment home, std::uint32_t slots) {
    auto assignment = std::make_shared<fleet::Assignment>();
    assignment->version = version;
    assignment->namespaces.push_back(std::move(home));
    if (slots > 0) assignment->pods.push_back({kPod, slots});
    FleetNews news;
    news.assignment = assignment;
    news.served = count<fleet::Served>();
    news.report.own_id = "me";
    news.report.members = members;
    news.must_cut = must_cut;
    control_side.take(std::move(news));
    control.poll();
  }
  void here(std::uint64_t version, std::uint32_t slots) { tell(version, {.name = "", .here = true, .home = ""}, slots); }
  void elsewhere(std::uint64_t version, std::string who) {
    tell(version, {.name = "", .here = false, .home = std::move(who)}, 0);
  }
  static fleet::MemberReport member(const std::string& id, const std::string& address) {
    fleet::MemberReport report;
    report.member.id = id;
    report.member.address = address;
    return report;
  }

  template <class Event>
  std::size_t count() const {
    std::size_t found = 0;
    for (const fleet::Event& each : posted) found += std::holds_alternative<Event>(each) ? 1 : 0;
    return found;
  }
  template <class Event>
  Event last() const {
    for (auto each = posted.rbegin(); each != posted.rend(); ++each) {
      if (const auto* event = std::get_if<Event>(&*each)) return *event;
    }
    ADD_FAILURE() << "no such event was posted";
    return {};
  }
  dispatch::RequestQueue& queue() const { return *live.get("iris/blue").queue; }
  const std::shared_ptr<upstream::Replica>& replica() const { return live.get("iris/blue").replicas.begin()->second.replica; }
  /// A slot of the pod, if one can be used now.
  dispatch::HeldSlot take() {
    queue().set_ready(replica(), true);
    runtime::Wakeup wakeup(control);
    Result<dispatch::RequestQueue::Entry> entry = queue().enter(wakeup);
    return entry ? std::move(entry->held_slot) : dispatch::HeldSlot();
  }

  test::TestShard control;
  runtime::ShardSet shards{1, control.clock()};
  metrics::Registry metrics{1, control.clock()};
  runtime::Resolver resolver{control};
  LiveDeployments live{control, shards, metrics, resolver};
  FleetPeers peers{1, control.clock()};
  std::shared_ptr<dispatch::Membership> membership = std::make_shared<dispatch::Membership>(1, boot_now);
  std::vector<fleet::Event> posted;
  std::vector<fleet::MemberReport> members;
  bool must_cut = false;
  bool has_replica = true;
  bool has_free = false;  // `free`, a deployment without a limit at the same pod
  std::chrono::milliseconds request_timeout{5000};
  int views = 0;
  std::uint64_t obeyed = 0;  // the newest assignment
  FleetControl control_side{{.control = control,
                             .shards = shards,
                             .live = live,
                             .peers = peers,
                             .membership = membership,
                             .running_grace = std::chrono::seconds(5),
                             .post = [this](fleet::Event event) { posted.push_back(std::move(event)); },
                             .publish_peers = [this] { ++views; }}};
  config::Deployment settings;
  config::Deployment free_settings;
  std::uint64_t generation = 0;
};

TEST_F(ControlOfAFleet, TellsWhichPodsItServesAndNothingRunsBeforeTheFleetHasSpoken) {
  const auto served = last<fleet::Served>();
  ASSERT_EQ(served.namespaces.size(), 1u);
  EXPECT_EQ(served.namespaces[0].name, "");
  ASSERT_EQ(served.namespaces[0].pods.size(), 1u);
  EXPECT_EQ(served.namespaces[0].pods[0].id, kPod);
  EXPECT_EQ(served.namespaces[0].pods[0].slots, 1u);
  EXPECT_EQ(live.home(settings)->where(), NamespaceHome::kNobody);
  EXPECT_FALSE(take());
}

TEST_F(ControlOfAFleet, ALimitedDeploymentWithoutAPodNeedsAHomeToo) {
  has_replica = false;
  publish(1);
  ASSERT_EQ(last<fleet::Served>().namespaces.size(), 1u);
  EXPECT_TRUE(last<fleet::Served>().namespaces[0].pods.empty());
  here(1, 0);
  EXPECT_EQ(live.home(settings)->where(), NamespaceHome::kHere);
  publish(0);
  EXPECT_TRUE(last<fleet::Served>().namespaces.empty());
}

TEST_F(ControlOfAFleet, TellsTheWaitsThatTheLimitedDeploymentsAskFor) {
  EXPECT_EQ(last<fleet::Waits>(), (fleet::Waits{5s, 250ms}));
  request_timeout = 20s;
  publish(1);
  EXPECT_EQ(last<fleet::Waits>(), (fleet::Waits{20s, 250ms}));
  request_timeout = 31s;
  publish(1);
  EXPECT_EQ(last<fleet::Waits>(), (fleet::Waits{5s, 250ms})) << "it is cut instead of being waited for";
  request_timeout = 20s;
  publish(0);
  EXPECT_EQ(last<fleet::Waits>(), (fleet::Waits{5s, 250ms})) << "without a limit nobody waits for it";
}

TEST_F(ControlOfAFleet, UsesTheSlotsThatAnAssignmentNamesAndSaysSo) {
  here(1, 0);
  EXPECT_EQ(live.home(settings)->where(), NamespaceHome::kHere);
  EXPECT_FALSE(take()) << "the takeover is not complete";
  EXPECT_EQ(last<fleet::Applied>().version, 1u);
  here(2, 1);
  EXPECT_TRUE(take());
  EXPECT_EQ(last<fleet::Applied>().version, 2u);
  EXPECT_TRUE(last<fleet::Applied>().holdings.empty()) << "what the home holds is its own business";
}

TEST_F(ControlOfAFleet, TellsWhatStillRunsWhenTheHomeHasMovedAway) {
  here(1, 1);
  dispatch::HeldSlot running = take();
  ASSERT_TRUE(running);
  members = {member("other", "127.0.0.1:9")};
  elsewhere(2, "other");
  EXPECT_EQ(live.home(settings)->where(), 0);
  const auto applied = last<fleet::Applied>();
  EXPECT_EQ(applied.version, 2u);
  ASSERT_EQ(applied.holdings.size(), 1u);
  EXPECT_EQ(applied.holdings[0].pod, kPod);
  EXPECT_EQ(applied.holdings[0].connections, 1u);
  EXPECT_FALSE(take());
  const std::size_t told = count<fleet::Applied>();
  pass(FleetControl::kLookBusy);
  EXPECT_EQ(count<fleet::Applied>(), told) << "nothing has changed";
  running.give_back();
  pass(FleetControl::kLookBusy);
  EXPECT_TRUE(last<fleet::Applied>().holdings.empty());
}

/// The next home waits for it.
TEST_F(ControlOfAFleet, TellsTheEndOfWhatRunsAtOnceIfItHasNotRunForLong) {
  members = {member("other", "127.0.0.1:9")};
  for (const Duration runs : {Duration(0ms), Duration(160ms), Duration(10s)}) {
    const std::uint64_t version = obeyed + 1;
    here(version, 1);
    dispatch::HeldSlot running = take();
    ASSERT_TRUE(running);
    elsewhere(obeyed = version + 1, "other");
    for (Duration passed{}; passed < runs; passed += 1ms) pass(1ms);
    running.give_back();
    pass(2ms + std::min<Duration>(runs / 16, FleetControl::kLookBusy));
    EXPECT_TRUE(last<fleet::Applied>().holdings.empty()) << runs.count();
  }
}

TEST_F(ControlOfAFleet, AWaitingRequestLearnsThatTheHomeHasMoved) {
  here(1, 1);
  const dispatch::HeldSlot running = take();
  runtime::Wakeup wakeup(control);
  Result<dispatch::RequestQueue::Entry> entry = queue().enter(wakeup);
  ASSERT_TRUE(entry && entry->waiting);
  elsewhere(2, "other");
  const Result<dispatch::HeldSlot> result = entry->waiting.poll();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().reason, Reason::kHomeMoved);
}

TEST_F(ControlOfAFleet, AnotherLimitIsUsedOnlyOnceTheFleetKnowsIt) {
  here(1, 1);
  publish(4);
  EXPECT_EQ(last<fleet::Served>().namespaces[0].pods[0].slots, 4u);
  EXPECT_FALSE(take()) << "the assignment in force is of the old limit";
  here(2, 3);
  const dispatch::HeldSlot first = take();
  const dispatch::HeldSlot second = take();
  const dispatch::HeldSlot third = take();
  EXPECT_TRUE(first && second && third);
  EXPECT_FALSE(take()) << "the fourth slot is another router's";
}

TEST_F(ControlOfAFleet, WithoutALimitThereIsNoHomeAndEveryRouterServes) {
  elsewhere(1, "other");
  publish(0);
  EXPECT_EQ(live.home(settings)->where(), NamespaceHome::kHere);
  EXPECT_TRUE(last<fleet::Served>().namespaces.empty());
  EXPECT_TRUE(take());
  publish(1);
  EXPECT_NE(live.home(settings)->where(), NamespaceHome::kHere);
  EXPECT_FALSE(take());
}

TEST_F(ControlOfAFleet, ADeploymentWithoutALimitHasTheHomeOfAPodThatAnotherOneLimits) {
  has_free = true;
  publish(1);
  const std::shared_ptr<const NamespaceHome> home = live.home(free_settings);  // of a view that stays
  dispatch::RequestQueue& free = *live.get("iris/free").queue;
  const auto moved = [&] {
    runtime::Wakeup wakeup(control);
    const Result<dispatch::RequestQueue::Entry> entry = free.enter(wakeup);
    return !entry && entry.error().reason == Reason::kHomeMoved;
  };
  EXPECT_EQ(home->where(), NamespaceHome::kNobody);
  EXPECT_TRUE(moved()) << "only a home may use the pod";
  EXPECT_EQ(last<fleet::Waits>().abort_wait, 2s) << "its requests count at the pod, too";
  members = {member("other", "127.0.0.1:9")};
  elsewhere(1, "other");
  EXPECT_EQ(home->where(), 0) << "requests are sent on";
  EXPECT_TRUE(moved() && !live.serves_here(free_settings));
  here(2, 1);
  EXPECT_EQ(home->where(), NamespaceHome::kHere);
  EXPECT_TRUE(!moved() && live.serves_here(free_settings));
  elsewhere(3, "other");
  publish(0);
  EXPECT_EQ(home->where(), NamespaceHome::kHere) << "no deployment limits the pod any more";
  EXPECT_TRUE(!moved() && live.serves_here(free_settings));
}

TEST_F(ControlOfAFleet, ConnectionsThatNoSlotCountsAreKeptOnlyWhileThePodHasNoLimit) {
  for (const std::uint32_t slots : {0U, 1U, 0U, 1U}) {
    publish(slots);
    shards[0].io().poll();
    EXPECT_EQ(replica()->pool_is_retired(0), slots > 0);
  }
}

TEST_F(ControlOfAFleet, UncoveredItWithholdsEverySlotUntilItIsCoveredAgain) {
  here(1, 1);
  membership->coverage().set_until(Coverage::BootTime(500ms));
  pass(FleetControl::kLook);
  EXPECT_FALSE(take());
  membership->coverage().set_until(Coverage::kAlways);
  pass(FleetControl::kLook);
  EXPECT_TRUE(take());
}

TEST_F(ControlOfAFleet, CutsOnceWhenTheFleetAsksForIt) {
  here(1, 1);
  runtime::Wakeup wakeup(shards[0]);
  dispatch::CoveredRun run(wakeup);
  membership->add(run);
  must_cut = true;
  here(2, 1);
  test::poll(shards[0]);
  EXPECT_TRUE(run.cut());
  EXPECT_FALSE(take());
}

TEST_F(ControlOfAFleet, NothingIsSentToAnAddressWhoseProcessWasNotMet) {
  members = {member("127.0.0.1:9", "127.0.0.1:9")};
  elsewhere(1, "127.0.0.1:9");
  EXPECT_EQ(peers.current()->at(peers.index_of("127.0.0.1:9")), nullptr);
  members = {member("other", "127.0.0.1:9")};
  elsewhere(2, "other");
  ASSERT_NE(peers.current()->at(peers.index_of("other")), nullptr);
}

TEST_F(ControlOfAFleet, AMemberKeepsItsIndexAndAGoneOneLeavesNothing) {
  members = {member("a", "127.0.0.1:7"), member("b", "127.0.0.1:8")};
  elsewhere(1, "b");
  EXPECT_EQ(views, 1);
  const std::int32_t index = live.home(settings)->where();
  ASSERT_NE(peers.current()->at(index), nullptr);
  EXPECT_EQ(peers.current()->at(index)->member(), "b");
  elsewhere(1, "b");
  EXPECT_EQ(views, 1) << "the same members need no other view";
  members[1].proven_dead = true;
  elsewhere(2, "a");
  EXPECT_EQ(views, 2);
  EXPECT_EQ(peers.current()->at(index), nullptr);
  members = {member("c", "127.0.0.1:8")};
  elsewhere(3, "c");
  EXPECT_NE(live.home(settings)->where(), index);
}

TEST_F(ControlOfAFleet, AsksToLeaveOnce) {
  control_side.drain();
  pass(0ms);
  pass(1s);
  EXPECT_EQ(count<fleet::DrainRequested>(), 1u);
}

TEST_F(ControlOfAFleet, SaysOnceThatNothingRunsAnyMoreAndNotBefore) {
  here(1, 1);
  EXPECT_FALSE(control_side.may_end()) << "it does not drain";
  EXPECT_EQ(count<fleet::Emptied>(), 0u);
  control_side.drain();
  pass(0ms);
  {
    const dispatch::HeldSlot running = take();
    ASSERT_TRUE(running);
    EXPECT_FALSE(control_side.may_end());
    EXPECT_EQ(count<fleet::Emptied>(), 0u) << "a pod of this home is busy";
  }
  EXPECT_FALSE(control_side.may_end());
  EXPECT_FALSE(control_side.may_end());
  EXPECT_EQ(count<fleet::Emptied>(), 1u);
}

TEST_F(ControlOfAFleet, APodThatIsGoneIsToldUntilItsLastConnectionIsClosed) {
  here(1, 1);
  const dispatch::HeldSlot running = take();
  LiveDeployments::Change change = live.prepare({}, {}, ++generation);
  live.apply(change);
  live.remove_others(change);
  pass(0ms);
  EXPECT_TRUE(last<fleet::Served>().namespaces.empty());
  auto nothing = std::make_shared<fleet::Assignment>();
  nothing->version = 2;
  FleetNews news;
  news.assignment = nothing;
  news.served = count<fleet::Served>();
  control_side.take(std::move(news));
  ASSERT_EQ(last<fleet::Applied>().holdings.size(), 1u);
  EXPECT_EQ(last<fleet::Applied>().holdings[0].pod, kPod);
}

}  // namespace
}  // namespace router::serving

#include "router/serving/live_deployments.h"

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "router/runtime/accept.h"
#include "tests/support/certificates.h"
#include "tests/support/loopback.h"
#include "tests/support/test_shard.h"

namespace router::serving {
namespace {

using namespace std::chrono_literals;
using dispatch::Health;
using dispatch::ReplicaReport;
using test::Descriptor;
using test::turn_until;

/// A deployment from a resource. Kubernetes reports whether its replica is ready, and the router does not know its readiness
/// route.
class ReplicaOfAResource : public ::testing::Test {
 protected:
  ReplicaOfAResource() {
    config::Endpoint endpoint;
    endpoint.name = "iris";
    config::Deployment deployment;
    deployment.namespace_name = "team";
    deployment.endpoint_name = "iris";
    deployment.name = "blue";
    deployment.max_concurrent_requests_per_instance = 10;
    endpoint.deployments.push_back(deployment);
    config.endpoints.push_back(endpoint);
    key = deployment_key(deployment);
    found.name = "10.0.0.1:5001";
    found.host = "10.0.0.1";
    found.identity = "uid:5001";
    found.address = pod->address();
    found.probe_address = *runtime::Address::parse("127.0.0.1", 1);  // no process listens there
    found.ready = true;
    LiveDeployments::Change change = live.prepare(config, {.replicas = {{key, {found}}}}, 1);
    live.apply(change);
    control.poll();
  }
  ~ReplicaOfAResource() override {
    live.stop();
    control.poll();
    EXPECT_TRUE(control.run(live.stopped(control.now())));
  }
  dispatch::RequestQueue& queue() { return *live.get(key).queue; }
  const std::shared_ptr<upstream::Replica>& replica() { return live.get(key).replicas.begin()->second.replica; }
  const dispatch::Replica* pod_replica() {
    for (const auto& [name, each] : live.get(key).replicas) {
      if (each.replica->address() == pod->address()) return each.replica.get();
    }
    return nullptr;
  }
  Health::State state() { return queue().condition(replica()).state; }
  void exchange(ReplicaReport::Outcome outcome) {
    runtime::Wakeup wakeup(control);
    Result<dispatch::RequestQueue::Entry> entry = queue().enter(wakeup);
    ASSERT_TRUE(entry && entry->held_slot);
    entry->held_slot.report().outcome = outcome;
  }
  void set_ready(bool ready) {
    found.ready = ready;
    live.update_replicas(key, {found});
    control.poll();
  }
  void stop_listening() {
    const std::uint16_t port = pod->address().port();
    pod->close();
    closed_port = port;
  }
  /// Lets time pass, one second at a time. Only the kernel answers probes meanwhile.
  void seconds_pass(int seconds) {
    for (int second = 0; second < seconds; ++second) control.advance(1s);
  }

  test::TestShard control;
  runtime::ShardSet shards{1, control.clock()};
  metrics::Registry metrics{1, control.clock()};
  runtime::Resolver resolver{control};
  LiveDeployments live{control, shards, metrics, resolver};
  config::Config config;
  DeploymentKey key;
  discovery::FoundReplica found;
  std::unique_ptr<test::LoopbackListener> pod = std::make_unique<test::LoopbackListener>();
  std::uint16_t closed_port = 0;
};

TEST_F(ReplicaOfAResource, ReturnsWhenItAcceptsAConnectionAlthoughItsRouteIsNotKnown) {
  stop_listening();
  exchange(ReplicaReport::Outcome::kRefused);
  seconds_pass(5);
  EXPECT_EQ(state(), Health::State::kRefusing) << "the replica still refuses connections, although its source reports it ready";
  const runtime::ListeningSocket again(std::move(runtime::listen_on("127.0.0.1", closed_port, 1)->front()));
  control.advance(1s);
  control.advance(1s);  // no process accepts or closes the connection; the probe's slot becomes free nevertheless
  EXPECT_TRUE(turn_until(control, [this] { return state() == Health::State::kWell; }));
}

TEST_F(ReplicaOfAResource, IsWokenByTheFirstRequestThatIsHeldForIt) {
  std::vector<DeploymentKey> woken;
  live.when_waking([&](const DeploymentKey& each) { woken.push_back(each); });
  config.endpoints.front().deployments.front().scaling.hold_requests = 2;
  LiveDeployments::Change change = live.prepare(config, {}, 2);
  live.apply(change);
  set_ready(false);
  queue().set_waking(dispatch::Awakening{30s, {}});
  control.poll();
  EXPECT_TRUE(woken.empty());
  runtime::Wakeup wakeup(control);
  const Result<dispatch::RequestQueue::Entry> first = queue().enter(wakeup);
  const Result<dispatch::RequestQueue::Entry> second = queue().enter(wakeup);
  const Result<dispatch::RequestQueue::Entry> third = queue().enter(wakeup);
  EXPECT_TRUE(first && second);
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().reason, Reason::kWaking);
  control.poll();
  EXPECT_EQ(woken, std::vector<DeploymentKey>{key});
  EXPECT_EQ(live.get(key).counted().waking, 2u);
}

TEST_F(ReplicaOfAResource, CountsWhatWasAskedSinceItWasConfigured) {
  metrics::DeploymentCells& cells = metrics.deployment("iris", "blue")->on(0);
  cells.arrived();
  cells.arrived();
  cells.refused(7s);
  queue().set_counting(true);
  exchange(ReplicaReport::Outcome::kSucceeded);
  Counted counted = live.get(key).counted();
  EXPECT_EQ(counted.made, 1u);
  EXPECT_EQ(counted.offered, (metrics::Offered{.arrivals = 2, .refusals = 1, .told_seconds = 7}));
  EXPECT_EQ(counted.queue.returns, 1u);

  LiveDeployments::Change without = live.prepare({}, {}, 2);
  live.apply(without);
  live.remove_others(without);
  LiveDeployments::Change again = live.prepare(config, {.replicas = {{key, {found}}}}, 3);
  live.apply(again);
  control.poll();
  cells.arrived();
  counted = live.get(key).counted();
  EXPECT_EQ(counted.made, 3u) << "it is another one";
  EXPECT_EQ(counted.offered, (metrics::Offered{.arrivals = 1}));
  EXPECT_EQ(counted.queue, dispatch::QueueIntegrals{});
}

TEST_F(ReplicaOfAResource, ReturnsWhenItsSourceCallsItReadyAfterItWasNot) {
  stop_listening();
  exchange(ReplicaReport::Outcome::kRefused);
  control.poll();
  set_ready(true);
  EXPECT_EQ(state(), Health::State::kRefusing) << "the source repeats what it has reported";
  set_ready(false);
  set_ready(true);
  EXPECT_EQ(state(), Health::State::kWell);
}

TEST_F(ReplicaOfAResource, IsNotKeptEjectedByARouteThatTheRouterDoesNotKnow) {
  discovery::FoundReplica other = found;
  other.identity = "other:5001";
  other.address = *runtime::Address::parse("127.0.0.2", 5001);
  live.update_replicas(key, {found, other});
  for (std::size_t count = 0; count < 200 && queue().demand().replicas_ejected == 0; ++count) {
    runtime::Wakeup wakeup(control);
    Result<dispatch::RequestQueue::Entry> entry = queue().enter(wakeup);
    const bool fails = &entry->held_slot.replica() == pod_replica();
    entry->held_slot.report().outcome = fails ? ReplicaReport::Outcome::kFailed : ReplicaReport::Outcome::kSucceeded;
  }
  ASSERT_EQ(queue().demand().replicas_ejected, 1u);
  control.poll();
  control.advance(9s);
  EXPECT_FALSE(pod->accept()) << "the time of its ejection is not over";
  control.advance(1s);
  Descriptor connection;
  ASSERT_TRUE(turn_until(control, [&] { return static_cast<bool>(connection = pod->accept()); }))
      << "the probe comes to the scoring port";
  connection.send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(turn_until(control, [&] { return (connection.received(), connection.at_end()); }));
  EXPECT_EQ(queue().demand().replicas_ejected, 1u) << "the probe still holds the slot";
  connection.close();
  EXPECT_TRUE(turn_until(control, [this] { return queue().demand().replicas_ejected == 0; }));
}

TEST_F(ReplicaOfAResource, DidNotTellWhoWasRefusedWhyNoReplicaWasReady) {
  EXPECT_EQ(queue().trouble(), nullptr) << "there is no trouble to report";
  set_ready(false);
  ASSERT_NE(queue().trouble(), nullptr);
  EXPECT_EQ(*queue().trouble(), "of 1 replica, 1: its EndpointSlice does not say that it is ready");
  set_ready(true);
  EXPECT_EQ(queue().trouble(), nullptr);
  stop_listening();
  exchange(ReplicaReport::Outcome::kRefused);
  control.poll();
  ASSERT_NE(queue().trouble(), nullptr);
  EXPECT_EQ(*queue().trouble(), "of 1 replica, 1: connection refused");
  discovery::FoundReplica other = found;
  other.identity = "other:5001";
  other.terminating = true;
  live.update_replicas(key, {found, other});
  control.poll();
  EXPECT_EQ(*queue().trouble(), "of 2 replicas, 1: connection refused; 1: terminating");
}

/// Deployments from files.
class FileDeployments : public ::testing::Test {
 protected:
  ~FileDeployments() override {
    live.stop();
    control.poll();
    EXPECT_TRUE(control.run(live.stopped(control.now())));
  }
  void add(const std::string& name, std::vector<config::ReplicaAddress> replicas) {
    if (config.endpoints.empty()) config.endpoints.emplace_back().name = "iris";
    config::Deployment& deployment = config.endpoints.front().deployments.emplace_back();
    deployment.endpoint_name = "iris";
    deployment.name = name;
    deployment.replicas = std::move(replicas);
  }
  void apply(const Transports& transports = {}) {
    LiveDeployments::Change change = live.prepare(config, {.transports = transports}, 1);
    live.apply(change);
  }
  const dispatch::PodSlots* pod_at(const std::string& name, const std::string& address) {
    for (const auto& [key, each] : live.get("iris/" + name).replicas) {
      if (each.replica->address().text() == address) return each.replica->pod().get();
    }
    return nullptr;
  }

  test::TestShard control;
  runtime::ShardSet shards{1, control.clock()};
  metrics::Registry metrics{1, control.clock()};
  runtime::Resolver resolver{control, [](const std::string&, std::uint16_t port) -> runtime::Resolver::Addresses {
                               return std::vector{*runtime::Address::parse("127.0.0.1", port)};
                             }};
  LiveDeployments live{control, shards, metrics, resolver};
  config::Config config;
};

TEST_F(FileDeployments, HadTheSlotsOfAPodOnceForEachNameThatLeadsThere) {
  add("blue", {{"127.0.0.1", 1}, {"127.0.0.1", 2}});
  add("green", {{"pod.example", 1}, {"also.example", 1}});
  apply();
  ASSERT_TRUE(turn_until(control, [&] { return live.listed() && pod_at("green", "127.0.0.1:1") != nullptr; }));
  EXPECT_EQ(pod_at("blue", "127.0.0.1:1"), pod_at("green", "127.0.0.1:1"));
  EXPECT_NE(pod_at("blue", "127.0.0.1:1"), pod_at("blue", "127.0.0.1:2"));
  EXPECT_EQ(live.get("iris/green").replicas.size(), 1u);
  EXPECT_EQ(live.get("iris/green").replicas.begin()->second.replica->name(), "pod.example:1 (127.0.0.1)");
}

/// A connection that was opened with one name (SNI) was used for requests of the other name.
TEST_F(FileDeployments, SpokeToAPodByOneNameOverTheConnectionOfAnother) {
  add("blue", {{"a.example", 1}, {"b.example", 1}});
  auto& tls = config.endpoints.front().deployments.front().tls.emplace();
  tls.verify = false;  // the result of the probes does not matter here
  ClientContexts contexts(2);
  auto transport = std::make_shared<upstream::Transport>();
  transport->contexts = *contexts.get(tls);
  apply({{"iris/blue", transport}});
  const auto& replicas = live.get("iris/blue").replicas;
  ASSERT_TRUE(turn_until(control, [&] { return replicas.size() == 2; }));
  const upstream::Replica& first = *replicas.begin()->second.replica;
  const upstream::Replica& second = *replicas.rbegin()->second.replica;
  EXPECT_EQ(first.server_name(), "a.example");
  EXPECT_EQ(second.server_name(), "b.example");
  EXPECT_NE(first.transport(), second.transport());
  EXPECT_EQ(first.pod(), second.pod()) << "both names share the slots of one pod";
}

/// `tls: {}` is one line of a tenant's resource. A trust store for each such deployment took 40 ms of the control thread and
/// 0.8 MB.
TEST(Transports, HadATrustStoreForEachDeploymentThatNamesNone) {
  std::vector<config::Deployment> deployments(1000);
  std::vector<const config::Deployment*> asking;
  for (std::size_t i = 0; i < deployments.size(); ++i) {
    deployments[i].endpoint_name = "iris";
    deployments[i].name = "d" + std::to_string(i);
    deployments[i].tls.emplace();
    deployments[i].tls->verify = i % 2 == 0;
    deployments[i].tls->server_name = deployments[i].name;
    asking.push_back(&deployments[i]);
  }
  ClientContexts contexts(2);
  config::Findings findings;
  UnusableAuthorities unusable;
  const Transports transports = load_transports(asking, contexts, findings, unusable);
  EXPECT_FALSE(findings.has_mistakes());
  ASSERT_EQ(transports.size(), deployments.size());
  std::set<const tls::ClientContext*> made;
  for (const auto& [key, transport] : transports) {
    ASSERT_EQ(transport->contexts.size(), 3u) << "one context for each shard, and one for probes";
    for (const auto& each : transport->contexts) made.insert(each.get());
  }
  EXPECT_EQ(made.size(), 6u) << "one set for deployments that verify, one for those that do not";
  EXPECT_EQ(transports.at("iris/d7")->server_name, "d7") << "the server name does not belong to the contexts";
}

class Authorities : public ::testing::Test {
 protected:
  Authorities() {
    deployment.endpoint_name = "iris";
    deployment.name = "blue";
    deployment.tls.emplace();
    deployment.tls->ca_file = authority.write_file(content_of(authority.ca_file()));
  }
  static std::string content_of(const std::string& file) {
    std::ostringstream content;
    content << std::ifstream(file).rdbuf();
    return std::move(content).str();
  }
  /// Loads the authorities as an accepted reload does.
  std::string trusted() {
    auto next = std::make_unique<ClientContexts>(1);
    findings = {};
    unusable = {};
    unusable.is_mistake = false;
    unusable.in_force = contexts.get();
    const Transports transports = load_transports({&deployment}, *next, findings, unusable);
    contexts = std::move(next);
    return transports.at("iris/blue")->contexts.front()->trust();
  }
  void write(const std::string& content) const { std::ofstream(deployment.tls->ca_file) << content; }

  test::TestAuthority authority;
  config::Deployment deployment;
  std::unique_ptr<ClientContexts> contexts;
  config::Findings findings;
  UnusableAuthorities unusable;
};

TEST_F(Authorities, ThatCouldNotBeReadRefusedEveryChange) {
  const std::string before = trusted();
  write("nonsense");
  for (int reload = 0; reload < 2; ++reload) {
    EXPECT_EQ(trusted(), before);
    EXPECT_FALSE(findings.has_mistakes());
    EXPECT_EQ(findings.warnings().size(), 1u);
    EXPECT_EQ(unusable.refused.size(), 1u);
  }
  const test::TestAuthority stranger;
  write(content_of(stranger.ca_file()));
  EXPECT_NE(trusted(), before);
  EXPECT_TRUE(unusable.refused.empty());
}

TEST_F(Authorities, ThatWereNeverReadAreNobodyAndNeverAnybodyOrTheSystems) {
  write("nonsense");
  EXPECT_EQ(trusted(), "nobody");
  deployment.tls->ca_file = "/no/such/file";
  EXPECT_EQ(trusted(), "nobody");
  deployment.tls->ca_file = authority.ca_file();
  EXPECT_NE(trusted(), "nobody");
  deployment.tls->ca_file = "/no/such/file";
  EXPECT_EQ(trusted(), "nobody") << "another file's content is not used in its place";
  deployment.tls->verify = false;
  EXPECT_EQ(trusted(), "anybody") << "verification is switched off";
  deployment.tls->verify = true;
  EXPECT_EQ(trusted(), "nobody");
  deployment.tls->ca_file = "";
  EXPECT_EQ(trusted(), "the system's");
}

}  // namespace
}  // namespace router::serving

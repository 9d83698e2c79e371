#include "router/discovery/replica_source.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "router/discovery/name_addresses.h"
#include "tests/support/loopback.h"
#include "tests/support/test_shard.h"

namespace router::discovery {
namespace {

using runtime::Address;
using std::chrono::seconds;
using test::TestShard;
using test::turn_until;

/// The names that can be resolved. Tests change them while the resolver's thread looks them up.
class Names {
 public:
  void set(const std::string& host, std::vector<std::string> ips) {
    const std::lock_guard lock(mutex_);
    known_[host] = std::move(ips);
  }
  runtime::Resolver::LookUp look_up() {
    return [this](const std::string& host, std::uint16_t port) -> runtime::Resolver::Addresses {
      const std::lock_guard lock(mutex_);
      ++asked_;
      std::vector<Address> addresses;
      for (const std::string& ip : known_[host]) addresses.push_back(*Address::parse(ip, port));
      if (addresses.empty()) return absl::UnavailableError("no such name");
      return addresses;
    };
  }
  int asked() const { return asked_; }

 private:
  std::mutex mutex_;
  std::map<std::string, std::vector<std::string>> known_;
  std::atomic<int> asked_{0};
};

class FileReplicasTest : public ::testing::Test {
 protected:
  static config::Deployment deployment(std::vector<config::ReplicaAddress> replicas) {
    config::Deployment settings;
    settings.replicas = std::move(replicas);
    return settings;
  }
  std::vector<std::string> found(const std::string& key = "iris/blue") {
    std::vector<std::string> all;
    for (const FoundReplica& each : told[key]) all.push_back(each.name + " " + each.address.text());
    return all;
  }
  /// Waits until the resolver has looked up `count` names and the source has got the answers.
  void answers(int count) {
    ASSERT_TRUE(turn_until(shard, [&] { return names.asked() >= count && source.listed(); })) << names.asked();
    // The last answer is posted after its look-up is counted. A further look-up comes after it and shows that it has arrived.
    bool flushed = false;
    resolver.resolve("flush", 1, [&](const auto&) { flushed = true; });
    ASSERT_TRUE(turn_until(shard, [&] { return flushed; }));
    EXPECT_EQ(names.asked(), count + 1 + flushes);
    ++flushes;
  }

  TestShard shard;
  Names names;
  runtime::Resolver resolver{shard, names.look_up()};
  std::map<std::string, std::vector<FoundReplica>> told;
  int notifications = 0;
  int flushes = 0;
  FileReplicas source{shard, resolver, [this](const std::string& key, const std::vector<FoundReplica>& replicas) {
                        told[key] = replicas;
                        ++notifications;
                      }};
};

TEST_F(FileReplicasTest, KnowsIpAddressesAtOnce) {
  source.set("iris/blue", deployment({{"10.0.0.1", 8000}, {"fd00::1", 8001}, {"10.0.0.2", 0}}));
  EXPECT_TRUE(source.listed());
  EXPECT_EQ(found(), (std::vector<std::string>{"10.0.0.1:8000 10.0.0.1:8000", "[fd00::1]:8001 [fd00::1]:8001",
                                               "10.0.0.2:5001 10.0.0.2:5001"}));
  EXPECT_EQ(notifications, 1);
  shard.advance(seconds(60));
  EXPECT_EQ(notifications, 1);
}

TEST_F(FileReplicasTest, ProbesTheReplicasOwnPortUnlessReadinessHasAnother) {
  config::Deployment settings = deployment({{"10.0.0.1", 8000}});
  source.set("iris/blue", settings);
  EXPECT_EQ(told["iris/blue"].front().probe_address.text(), "10.0.0.1:8000");
  settings.readiness_route.port = 9000;
  source.set("iris/blue", settings);
  EXPECT_EQ(told["iris/blue"].front().probe_address.text(), "10.0.0.1:9000");
  EXPECT_EQ(told["iris/blue"].front().address.text(), "10.0.0.1:8000");
}

TEST_F(FileReplicasTest, TellsNamesOnceTheyAreResolvedAllTogether) {
  names.set("pod-a", {"10.0.0.1"});
  names.set("pod-b", {"10.0.0.2"});
  source.set("iris/blue", deployment({{"pod-a", 80}, {"10.0.0.9", 80}, {"pod-b", 80}}));
  EXPECT_FALSE(source.listed());
  EXPECT_EQ(found(), std::vector<std::string>{"10.0.0.9:80 10.0.0.9:80"});
  answers(2);
  EXPECT_EQ(found(), (std::vector<std::string>{"pod-a:80 (10.0.0.1) 10.0.0.1:80", "10.0.0.9:80 10.0.0.9:80",
                                               "pod-b:80 (10.0.0.2) 10.0.0.2:80"}));
}

TEST_F(FileReplicasTest, FollowsANameToItsNewAddress) {
  names.set("pod", {"10.0.0.1"});
  source.set("iris/blue", deployment({{"pod", 80}}));
  answers(1);
  names.set("pod", {"10.0.0.2"});
  shard.advance(FileReplicas::kResolveAgain);
  answers(2);
  EXPECT_EQ(found(), (std::vector<std::string>{"pod:80 (10.0.0.1) 10.0.0.1:80", "pod:80 (10.0.0.2) 10.0.0.2:80"}))
      << "a single look-up that lacks it may be the name server's mistake";
  shard.advance(FileReplicas::kResolveAgain);
  answers(3);
  EXPECT_EQ(found(), std::vector<std::string>{"pod:80 (10.0.0.2) 10.0.0.2:80"});
}

TEST_F(FileReplicasTest, TookTheFirstAddressOfANameForTheOnlyReplica) {
  names.set("pods", {"10.0.0.1", "10.0.0.2", "fd00::1", "10.0.0.3", "10.0.0.2"});
  source.set("iris/blue", deployment({{"pods", 80}}));
  answers(1);
  EXPECT_EQ(found(), (std::vector<std::string>{"pods:80 (10.0.0.1) 10.0.0.1:80", "pods:80 (10.0.0.2) 10.0.0.2:80",
                                               "pods:80 (10.0.0.3) 10.0.0.3:80"}));
  EXPECT_EQ(told["iris/blue"].front().host, "pods") << "the name for TLS";
  const int before = notifications;
  names.set("pods", {"10.0.0.3", "10.0.0.1", "fd00::1"});
  shard.advance(FileReplicas::kResolveAgain);
  answers(2);
  EXPECT_EQ(notifications, before) << "name servers rotate addresses, and one look-up that lacks an address does not count";
  names.set("pods", {"10.0.0.4", "10.0.0.1"});
  shard.advance(FileReplicas::kResolveAgain);
  answers(3);
  EXPECT_EQ(found(), (std::vector<std::string>{"pods:80 (10.0.0.1) 10.0.0.1:80", "pods:80 (10.0.0.3) 10.0.0.3:80",
                                               "pods:80 (10.0.0.4) 10.0.0.4:80"}));
}

TEST_F(FileReplicasTest, TookEachAddressOfALoadBalancerForAReplica) {
  names.set("balancer", {"10.0.0.1", "10.0.0.2"});
  config::Deployment settings = deployment({{"balancer", 80}});
  settings.resolve = config::Resolve::kFirst;
  source.set("iris/blue", settings);
  answers(1);
  EXPECT_EQ(found(), std::vector<std::string>{"balancer:80 (10.0.0.1) 10.0.0.1:80"});
  names.set("balancer", {"10.0.0.2", "10.0.0.3"});
  for (int look_up = 2; look_up < 4; ++look_up) {
    EXPECT_EQ(found(), std::vector<std::string>{"balancer:80 (10.0.0.1) 10.0.0.1:80"});
    shard.advance(FileReplicas::kResolveAgain);
    answers(look_up);
  }
  EXPECT_EQ(found(), std::vector<std::string>{"balancer:80 (10.0.0.2) 10.0.0.2:80"});
  settings.resolve = config::Resolve::kAll;
  source.set("iris/blue", settings);
  EXPECT_EQ(found().size(), 2u) << "at once, because the addresses are known";
}

TEST_F(FileReplicasTest, KnewNoBoundForTheAddressesOfAName) {
  std::vector<std::string> many;
  for (int i = 0; i < 200; ++i) many.push_back("10.0.1." + std::to_string(i));
  names.set("pods", many);
  source.set("iris/blue", deployment({{"pods", 80}}));
  answers(1);
  EXPECT_EQ(found().size(), NameAddresses::kMax);
  std::reverse(many.begin(), many.end());
  names.set("pods", many);
  const int before = notifications;
  shard.advance(FileReplicas::kResolveAgain);
  answers(2);
  EXPECT_EQ(notifications, before) << "the replicas in use stay";
}

TEST_F(FileReplicasTest, TookLocalhostForTwoReplicasOrForTheFamilyThatNobodyListensOn) {
  source.set("iris/blue", deployment({{"localhost", 80}}));
  EXPECT_EQ(found(), std::vector<std::string>{"localhost:80 (127.0.0.1) 127.0.0.1:80"});
  const FoundReplica& first = told["iris/blue"].front();
  ASSERT_TRUE(first.other_family);
  EXPECT_EQ(first.other_family->text(), "[::1]:80");
  source.probed("iris/blue", first.address, false, false);
  shard.poll();
  EXPECT_EQ(found(), std::vector<std::string>{"localhost:80 (127.0.0.1) 127.0.0.1:80"})
      << "no process listens at either address";
  source.probed("iris/blue", first.address, false, true);
  shard.poll();
  EXPECT_EQ(found(), std::vector<std::string>{"localhost:80 (::1) [::1]:80"});
  const FoundReplica& second = told["iris/blue"].front();
  EXPECT_TRUE(second.prefers_other_family && second.other_family->text() == "127.0.0.1:80");
  source.probed("iris/blue", second.address, true, false);
  shard.poll();
  EXPECT_EQ(found(), std::vector<std::string>{"localhost:80 (::1) [::1]:80"});
  source.probed("iris/blue", second.address, true, true);
  shard.poll();
  EXPECT_EQ(found(), std::vector<std::string>{"localhost:80 (127.0.0.1) 127.0.0.1:80"})
      << "IPv4 is preferred when both families accept connections";
}

TEST_F(FileReplicasTest, LeftLocalhostToAResolverThatKnewOneFamilyOrAnotherMachine) {
  for (const char* name : {"localhost", "LocalHost.", "model.localhost", "a.b.localhost."}) {
    names.set(name, {"192.0.2.1"});
    source.set("iris/blue", deployment({{name, 80}}));
    EXPECT_TRUE(source.listed()) << name;
    ASSERT_EQ(told["iris/blue"].size(), 1u) << name;
    const FoundReplica& replica = told["iris/blue"].front();
    EXPECT_EQ(replica.address.text(), "127.0.0.1:80");
    ASSERT_TRUE(replica.other_family);
    EXPECT_EQ(replica.other_family->text(), "[::1]:80");
  }
  shard.advance(2 * FileReplicas::kResolveAgain);
  EXPECT_EQ(names.asked(), 0);
  source.set("iris/blue", deployment({{"notlocalhost", 80}, {"localhost.example", 80}}));
  answers(2);
}

TEST_F(FileReplicasTest, TookAnIpv4AddressInIpv6FormForAnotherPod) {
  names.set("pods", {"::ffff:10.0.0.1", "10.0.0.1", "::ffff:10.0.0.2", "fd00::1"});
  source.set("iris/blue", deployment({{"10.0.0.1", 80}, {"::ffff:10.0.0.1", 80}, {"::ffff:a00:1", 80}, {"pods", 80}}));
  answers(1);
  EXPECT_EQ(found(), (std::vector<std::string>{"10.0.0.1:80 10.0.0.1:80", "pods:80 (10.0.0.2) 10.0.0.2:80"}));
  source.set("iris/green", deployment({{"::ffff:10.0.0.1", 80}}));
  EXPECT_EQ(found("iris/green"), std::vector<std::string>{"[::ffff:10.0.0.1]:80 10.0.0.1:80"});
  EXPECT_EQ(told["iris/green"].front().probe_address.text(), "10.0.0.1:80");
}

TEST_F(FileReplicasTest, ChangesTheFamilyOnlyIfNoneOfItsAddressesAcceptsConnections) {
  names.set("pods", {"10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2"});
  source.set("iris/blue", deployment({{"pods", 80}}));
  answers(1);
  const Address first = told["iris/blue"][0].address;
  const Address second = told["iris/blue"][1].address;
  source.probed("iris/blue", first, false, true);
  shard.poll();
  EXPECT_EQ(told["iris/blue"].front().address.family(), AF_INET) << "no probe of the second replica has reported yet";
  source.probed("iris/blue", second, true, false);
  source.probed("iris/blue", first, false, true);
  shard.poll();
  EXPECT_EQ(told["iris/blue"].front().address.family(), AF_INET) << "the second replica accepts connections over IPv4";
  source.probed("iris/blue", second, false, true);
  shard.poll();
  EXPECT_EQ(found(), (std::vector<std::string>{"pods:80 (fd00::1) [fd00::1]:80", "pods:80 (fd00::2) [fd00::2]:80"}));
  names.set("pods", {"10.0.0.1"});
  for (int look_up = 2; look_up < 4; ++look_up) {
    shard.advance(FileReplicas::kResolveAgain);
    answers(look_up);
  }
  EXPECT_EQ(found(), std::vector<std::string>{"pods:80 (10.0.0.1) 10.0.0.1:80"})
      << "the name has no address of another family any more";
}

TEST_F(FileReplicasTest, TookTwoNamesOfOneAddressForTwoPods) {
  names.set("a", {"10.0.0.1", "10.0.0.2"});
  names.set("b.", {"10.0.0.2", "10.0.0.3"});
  config::Deployment settings = deployment({{"a", 80}, {"b.", 80}, {"10.0.0.3", 80}, {"10.0.0.3", 81}});
  source.set("iris/blue", settings);
  answers(2);
  EXPECT_EQ(found(), (std::vector<std::string>{"a:80 (10.0.0.1) 10.0.0.1:80", "a:80 (10.0.0.2) 10.0.0.2:80",
                                               "b.:80 (10.0.0.3) 10.0.0.3:80", "10.0.0.3:81 10.0.0.3:81"}));
  settings.tls.emplace();
  source.set("iris/blue", settings);
  EXPECT_EQ(found().size(), 6u) << "with TLS, the same address may be another server under another name";
  EXPECT_EQ(told["iris/blue"][2].name, "b.:80 (10.0.0.2)");
  EXPECT_EQ(told["iris/blue"][2].host, "b") << "certificates do not have the dot at the end";
  settings.tls->server_name = "pods.example";
  source.set("iris/blue", settings);
  EXPECT_EQ(found().size(), 4u);
}

TEST_F(FileReplicasTest, KeepsTheAddressInUseWhileTheNameStillHasIt) {
  names.set("pod", {"10.0.0.1"});
  config::Deployment settings = deployment({{"pod", 80}});
  settings.resolve = config::Resolve::kFirst;
  source.set("iris/blue", settings);
  answers(1);
  const int before = notifications;
  names.set("pod", {"10.0.0.2", "10.0.0.1"});
  shard.advance(FileReplicas::kResolveAgain);
  answers(2);
  EXPECT_EQ(found(), std::vector<std::string>{"pod:80 (10.0.0.1) 10.0.0.1:80"});
  EXPECT_EQ(notifications, before);
}

TEST_F(FileReplicasTest, KeepsTheLastAddressWhenALookUpFails) {
  names.set("pod", {"10.0.0.1"});
  source.set("iris/blue", deployment({{"pod", 80}}));
  answers(1);
  names.set("pod", {});
  shard.advance(FileReplicas::kResolveAgain);
  answers(2);
  EXPECT_EQ(found(), std::vector<std::string>{"pod:80 (10.0.0.1) 10.0.0.1:80"});
}

TEST_F(FileReplicasTest, AsksSoonerForANameThatIsNotThereYet) {
  source.set("iris/blue", deployment({{"late", 80}}));
  answers(1);
  EXPECT_TRUE(source.listed()) << "a name that does not exist must not keep the router from being ready";
  EXPECT_TRUE(found().empty());
  names.set("late", {"10.0.0.1"});
  shard.advance(FileReplicas::kResolveUnknownAgain);
  answers(2);
  EXPECT_EQ(found(), std::vector<std::string>{"late:80 (10.0.0.1) 10.0.0.1:80"});
}

TEST_F(FileReplicasTest, KeepsWhatItKnowsWhenADeploymentIsSetAgain) {
  names.set("pod", {"10.0.0.1"});
  source.set("iris/blue", deployment({{"pod", 80}}));
  answers(1);
  source.set("iris/blue", deployment({{"pod", 80}, {"10.0.0.2", 80}}));
  EXPECT_EQ(found(), (std::vector<std::string>{"pod:80 (10.0.0.1) 10.0.0.1:80", "10.0.0.2:80 10.0.0.2:80"}));
  EXPECT_TRUE(source.listed());
  source.set("iris/blue", deployment({{"10.0.0.2", 80}}));
  EXPECT_EQ(found(), std::vector<std::string>{"10.0.0.2:80 10.0.0.2:80"});
  shard.advance(FileReplicas::kResolveAgain);
  answers(1);
}

TEST_F(FileReplicasTest, NeitherLosesNorDoublesALookUpWhenReloadsComeFast) {
  names.set("pod", {"10.0.0.1"});
  for (int i = 0; i < 50; ++i) source.set("iris/blue", deployment({{"pod", 80}}));
  answers(1);
  EXPECT_EQ(found(), std::vector<std::string>{"pod:80 (10.0.0.1) 10.0.0.1:80"});
}

TEST_F(FileReplicasTest, TellsAReplicaOnceThatIsListedWithItsPortAndWithout) {
  source.set("iris/blue", deployment({{"10.0.0.1", 5001}, {"10.0.0.1", 0}}));
  EXPECT_EQ(found().size(), 1u);
}

TEST_F(FileReplicasTest, TellsNothingOfWhatWasRemovedBeforeTheAnswerCame) {
  names.set("pod", {"10.0.0.1"});
  source.set("iris/blue", deployment({{"pod", 80}}));
  source.set("iris/green", deployment({{"pod", 80}}));
  const int before = notifications;
  source.remove("iris/blue");
  answers(2);
  EXPECT_TRUE(found("iris/blue").empty());
  EXPECT_EQ(found("iris/green").size(), 1u);
  EXPECT_EQ(notifications, before + 1);
  source.stop();
  shard.advance(FileReplicas::kResolveAgain);
  EXPECT_EQ(notifications, before + 1);
}

TEST_F(FileReplicasTest, WasToldTheRoutersOwnListenerAsAReplica) {
  const auto own = [](const std::string& ip) {
    return std::make_shared<const OwnAddresses>(std::vector<Address>{*Address::parse(ip, 8080)},
                                                std::set<std::string>{"10.0.0.9", "fd00::9"});
  };
  names.set("self.example", {"10.0.0.9"});
  source.avoid(own("0.0.0.0"));
  source.set("iris/blue", deployment({{"127.0.0.1", 8080},
                                      {"127.0.0.1", 8081},
                                      {"10.0.0.9", 8080},
                                      {"::ffff:127.0.0.1", 8080},
                                      {"0.0.0.0", 8080},
                                      {"self.example", 8080},
                                      {"10.0.0.8", 8080},
                                      {"::1", 8080}}));
  answers(1);
  const std::vector<std::string> usable{"127.0.0.1:8081 127.0.0.1:8081", "10.0.0.8:8080 10.0.0.8:8080",
                                        "[::1]:8080 [::1]:8080"};
  EXPECT_EQ(found(), usable) << "a wildcard of IPv4 is every local address of IPv4";
  source.avoid(own("10.0.0.7"));
  source.set("iris/blue", deployment({{"127.0.0.1", 8080}, {"10.0.0.7", 8080}}));
  EXPECT_EQ(found(), std::vector<std::string>{"127.0.0.1:8080 127.0.0.1:8080"}) << "the listener has another port now";
}

struct OwnCase {
  const char* about;
  const char* listener;
  const char* address;
  bool is_listener;
};

TEST(OwnAddresses, KnowsWhereAConnectionLeads) {
  const std::vector<OwnCase> cases{
      {"the same address", "10.0.0.9", "10.0.0.9", true},
      {"another local address", "10.0.0.9", "127.0.0.1", false},
      {"a wildcard and the loopback", "0.0.0.0", "127.0.0.1", true},
      {"all of 127.0.0.0/8 is this machine's", "0.0.0.0", "127.9.9.9", true},
      {"a wildcard and an interface", "0.0.0.0", "10.0.0.9", true},
      {"a wildcard and another machine", "0.0.0.0", "10.0.0.8", false},
      {"that of IPv4 and an address of IPv6", "0.0.0.0", "fd00::9", false},
      {"that of both", "::", "fd00::9", true},
      {"that of both and IPv4", "::", "10.0.0.9", true},
      {"that of both and the loopback", "::", "127.0.0.1", true},
      {"IPv4 in IPv6", "10.0.0.9", "::ffff:10.0.0.9", true},
      {"the unspecified address is the loopback", "127.0.0.1", "0.0.0.0", true},
      {"that of IPv6, too", "::1", "::", true},
  };
  for (const OwnCase& each : cases) {
    const OwnAddresses own({*Address::parse(each.listener, 8080)}, {"10.0.0.9", "fd00::9"});
    EXPECT_EQ(own.is_listener(*Address::parse(each.address, 8080)), each.is_listener) << each.about;
    EXPECT_FALSE(own.is_listener(*Address::parse(each.address, 8081))) << each.about << ", but for the port";
  }
}

TEST(OwnAddresses, AreReadFromTheKernel) { EXPECT_TRUE(OwnAddresses::read_local_ips().contains("127.0.0.1")); }

}  // namespace
}  // namespace router::discovery

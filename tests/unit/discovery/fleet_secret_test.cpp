#include "router/discovery/fleet_secret.h"

#include <absl/strings/escaping.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "tests/unit/kubernetes/object_server.h"

namespace router::discovery {
namespace {

using kubernetes::test::Asked;
using kubernetes::test::ObjectServer;
using router::test::TestShard;
using std::chrono::milliseconds;
using std::chrono::seconds;
namespace json = boost::json;
using Lines = std::vector<std::string>;

std::string key_of(char digit) { return std::string(64, digit) + "\n"; }

class FleetSecretTest : public ::testing::Test {
 protected:
  struct Router {
    std::unique_ptr<kubernetes::ApiClient> client;
    Lines told;
    int short_of_memory = 0;
    std::unique_ptr<FleetSecret> secret;
  };

  FleetSecretTest() { testing::internal::CaptureStderr(); }
  ~FleetSecretTest() override {
    for (auto& [name, router] : routers) router.secret.reset();
    server.serve();
    EXPECT_EQ(group.running(), 0u);
    EXPECT_EQ(group.failed(), 0u);
    const std::string log = testing::internal::GetCapturedStderr();
    EXPECT_NE(log.find(logged), log.npos) << log;
    for (const std::string& each : secrets) EXPECT_EQ(log.find(each), log.npos) << log;
  }
  Router& start(const std::string& name) {
    Router& router = routers[name];
    router.client = kubernetes::test::make_client(shard, resolver, server.cluster());
    const FleetSecretOptions options{.namespace_name = "system", .name = "fleet-keys"};
    router.secret = std::make_unique<FleetSecret>(*router.client, group, options, [&router](const std::string& keys) {
      if (router.short_of_memory-- > 0) throw std::bad_alloc();
      router.told.push_back(keys);
    });
    server.serve();
    return router;
  }
  Lines take(Router& router) {
    server.serve();
    for (const std::string& each : router.told) secrets.push_back(each.substr(0, 64));
    return std::exchange(router.told, {});
  }
  /// Lets time pass while the server answers.
  void pass(Duration time) {
    for (; time > Duration{}; time -= milliseconds(250)) {
      shard.advance(milliseconds(250));
      server.serve();
    }
  }
  /// Writes the Secret as an operator would.
  void set(const std::string& keys) {
    json::object object{{"type", "Opaque"}};
    object["data"] = json::object{{"keys", absl::Base64Escape(keys)}, {"other", "a2VwdA=="}};
    server.write(object);
    server.serve();
  }
  void empty() {
    server.write({{"type", "Opaque"}});
    server.serve();
  }
  std::string stored() const {
    std::string text;
    const json::object* data = kubernetes::object_in(*server.object, "data");
    const std::string encoded = data != nullptr ? kubernetes::text_in(*data, "keys") : "";
    EXPECT_TRUE(absl::Base64Unescape(encoded, &text));
    return text;
  }

  TestShard shard;
  runtime::Resolver resolver{shard};
  ObjectServer server{shard, "fleet-keys"};
  runtime::TaskGroup group{shard, 20};
  std::map<std::string, Router> routers;
  std::string logged;  // a text that a line of the log must contain
  Lines secrets;       // texts that no line of the log may contain
};

TEST_F(FleetSecretTest, IsFilledByANewRouterWithOneRandomKey) {
  logged = "this router has made a key in the member keys of the Secret system/fleet-keys";
  empty();
  Router& a = start("a");
  pass(milliseconds(4750));
  EXPECT_EQ(server.writes(), 0u) << "routers that have a key may put it back";
  EXPECT_FALSE(a.secret->has_keys());
  pass(milliseconds(250));
  ASSERT_EQ(server.writes(), 1u);
  const Asked& put = server.log.back();
  EXPECT_EQ(put.method, "PUT");
  EXPECT_TRUE(put.target.starts_with("/api/v1/namespaces/system/secrets/fleet-keys?")) << put.target;
  EXPECT_EQ(stored().size(), 65u);
  EXPECT_TRUE(is_fleet_keys(stored()));
  EXPECT_EQ(take(a), Lines{stored()});
  EXPECT_TRUE(a.secret->has_keys());
  EXPECT_EQ(a.secret->trouble(), "");
  const std::string first = stored();
  a.secret.reset();
  empty();
  Router& b = start("b");
  pass(seconds(5));
  EXPECT_EQ(take(b).size(), 1u);
  EXPECT_NE(stored(), first);
}

TEST_F(FleetSecretTest, IsFilledOnceByThreeRoutersThatStartTogether) {
  empty();
  for (const char* name : {"a", "b", "c"}) start(name);
  pass(seconds(30));
  const std::string key = stored();
  for (const char* name : {"a", "b", "c"}) EXPECT_EQ(take(routers[name]), Lines{key}) << name;
  EXPECT_EQ(server.version, 102) << "one write succeeded";
}

TEST_F(FleetSecretTest, IsReadAndFollowed) {
  set(key_of('a'));
  Router& a = start("a");
  EXPECT_EQ(take(a), Lines{key_of('a')});
  set(key_of('b') + key_of('a'));
  EXPECT_EQ(take(a), Lines{key_of('b') + key_of('a')});
  set(key_of('b') + key_of('a'));
  EXPECT_EQ(take(a), Lines{}) << "the same keys";
  set(key_of('b'));
  EXPECT_EQ(take(a), Lines{key_of('b')});
  EXPECT_EQ(server.writes(), 0u);
}

TEST_F(FleetSecretTest, KeepsTheOldKeysWhileTheNewOnesAreInvalid) {
  set(key_of('a'));
  Router& a = start("a");
  take(a);
  secrets.push_back("my secret");
  set("my secret\n");
  pass(seconds(30));
  EXPECT_EQ(take(a), Lines{});
  EXPECT_TRUE(a.secret->has_keys());
  EXPECT_EQ(a.secret->trouble(),
            "the member keys of the Secret system/fleet-keys is not one line or two of 64 hex digits; the keys before stay in "
            "use");
  EXPECT_EQ(server.writes(), 0u) << "an operator's mistake is not overwritten";
  set(key_of('b'));
  EXPECT_EQ(take(a), Lines{key_of('b')});
  EXPECT_EQ(a.secret->trouble(), "");
}

TEST_F(FleetSecretTest, IsNotFilledWhereItHasInvalidKeys) {
  set("x");
  Router& a = start("a");
  pass(seconds(30));
  EXPECT_EQ(server.writes(), 0u);
  EXPECT_NE(a.secret->trouble().find("this router has no key"), std::string::npos) << a.secret->trouble();
  server.object->at("data").as_object()["keys"] = "*";
  server.write(*server.object);
  pass(seconds(30));
  EXPECT_EQ(server.writes(), 0u) << "no base64";
}

TEST_F(FleetSecretTest, ThatWasEmptiedGetsTheKeysBackAtOnce) {
  logged = "this router has written its keys back into the member keys of the Secret system/fleet-keys";
  set(key_of('b') + key_of('a'));
  Router& a = start("a");
  EXPECT_EQ(take(a).size(), 1u);
  empty();
  server.serve();
  EXPECT_EQ(stored(), key_of('b') + key_of('a')) << "without time passing";
  EXPECT_EQ(take(a), Lines{}) << "nothing has changed for this router";
  EXPECT_EQ(a.secret->trouble(), "");
}

TEST_F(FleetSecretTest, ThatWasEmptiedGetsNoNewKeyFromANewcomerBesideARouterThatRuns) {
  set(key_of('a'));
  Router& a = start("a");
  take(a);
  server.hides_events = true;  // the running router does not see it for 4 s
  empty();
  Router& b = start("b");
  pass(seconds(4));
  EXPECT_EQ(stored(), "");
  server.show_events();
  pass(seconds(20));
  EXPECT_EQ(stored(), key_of('a'));
  EXPECT_EQ(take(b), Lines{key_of('a')});
  EXPECT_EQ(take(a), Lines{});
}

TEST_F(FleetSecretTest, IsFilledOnlyAfterItWasEmptyForTheWholeWait) {
  empty();
  Router& a = start("a");
  pass(seconds(4));
  server.remove();
  server.serve();
  empty();
  pass(milliseconds(4750));
  EXPECT_EQ(server.writes(), 0u);
  pass(milliseconds(250));
  EXPECT_EQ(take(a).size(), 1u);
}

TEST_F(FleetSecretTest, IsFilledInTimeAlthoughOthersWriteToItMeanwhile) {
  empty();
  Router& a = start("a");
  pass(seconds(4));
  empty();
  pass(seconds(1));
  EXPECT_EQ(take(a).size(), 1u);
}

TEST_F(FleetSecretTest, ThatDoesNotExistIsNotMade) {
  Router& a = start("a");
  pass(seconds(30));
  EXPECT_EQ(server.writes(), 0u);
  EXPECT_EQ(a.secret->trouble(), "the Secret system/fleet-keys for the fleet's keys does not exist; this router has no key");
  set(key_of('a'));
  EXPECT_EQ(take(a), Lines{key_of('a')});
  server.remove();
  server.serve();
  EXPECT_TRUE(a.secret->has_keys());
  EXPECT_NE(a.secret->trouble(), "");
  EXPECT_EQ(server.writes(), 0u);
}

TEST_F(FleetSecretTest, KeepsOtherMembersWhenItIsFilled) {
  set("");
  start("a");
  pass(seconds(6));
  EXPECT_TRUE(is_fleet_keys(stored()));
  EXPECT_EQ(server.object->at("data").at("other"), "a2VwdA==");
  EXPECT_EQ(server.object->at("type"), "Opaque");
}

TEST_F(FleetSecretTest, TakesTheKeysOfAnotherWriterThatWasFaster) {
  empty();
  Router& a = start("a");
  shard.advance(seconds(5));
  const Asked put = server.next();
  set(key_of('c'));
  EXPECT_EQ(take(a), Lines{key_of('c')});
  server.answer(put);
  pass(seconds(30));
  EXPECT_EQ(stored(), key_of('c'));
  EXPECT_EQ(server.writes(), 1u) << "it is not sent again";
}

TEST_F(FleetSecretTest, IsTriedAgainAfterARefusal) {
  empty();
  Router& a = start("a");
  server.refuses = 403;  // the answer quotes the request; the end of the test looks for it in the log
  pass(seconds(10));
  ASSERT_GE(server.writes(), 2u);
  for (const Asked& each : server.log) {
    const json::object sent = *kubernetes::parse_object(each.body);
    const std::string encoded(sent.at("data").at("keys").as_string().c_str());
    std::string key;
    ASSERT_TRUE(absl::Base64Unescape(encoded, &key));
    secrets.push_back(encoded);
    secrets.push_back(key.substr(0, 64));
  }
  EXPECT_FALSE(a.secret->has_keys()) << "a key that was not written is not in use";
  server.refuses = 0;
  pass(seconds(60));
  EXPECT_EQ(take(a), Lines{stored()});
}

TEST_F(FleetSecretTest, TakesTheKeyItHasWrittenWithoutAnAnswer) {
  empty();
  Router& a = start("a");
  shard.advance(seconds(5));
  const Asked put = server.next();
  server.write(*kubernetes::parse_object(put.body));
  put.cut();
  pass(seconds(30));
  EXPECT_EQ(take(a), Lines{stored()});
  EXPECT_EQ(server.version, 102);
}

TEST_F(FleetSecretTest, TellsKeysAgainThatTheRouterHadNoMemoryFor) {
  set(key_of('a'));
  Router& a = start("a");
  take(a);
  a.short_of_memory = 1;
  set(key_of('b'));
  EXPECT_EQ(take(a), Lines{});
  pass(seconds(2));
  EXPECT_EQ(take(a), Lines{key_of('b')});
}

TEST(FleetKeys, AreOneLineOrTwoOfHexDigits) {
  const std::string key(64, 'a');
  for (const std::string& good : {key, key + "\n", key + "\n" + key, key + "\n" + key + "\n", std::string(64, 'F')}) {
    EXPECT_TRUE(is_fleet_keys(good)) << good;
  }
  for (const std::string& bad : {std::string(), std::string("\n"), key + "\n\n", "\n" + key, key + " ", key + "\r\n", key + key,
                                 key + "\n" + key + "\n" + key, std::string(64, 'g'), std::string(63, 'a'),
                                 std::string(65, 'a'), key + "\nx", key + '\0'}) {
    EXPECT_FALSE(is_fleet_keys(bad)) << bad;
  }
}

}  // namespace
}  // namespace router::discovery

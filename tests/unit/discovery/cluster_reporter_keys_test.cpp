#include "router/discovery/cluster_reporter.h"
#include "tests/unit/discovery/reporter_world.h"

namespace router::discovery {
namespace {

class KeysTest : public ReporterTest {
 protected:
  KeysTest() { options.create_keys = true; }
  static constexpr const char* kSecrets = "/api/v1/namespaces/team-a/secrets";

  std::vector<ReportServer::Request> secrets() {
    std::vector<ReportServer::Request> some;
    for (const auto& each : server.log) {
      if (each.path.find("/secrets") != each.path.npos) some.push_back(each);
    }
    return some;
  }
  /// A Secret with these keys. The endpoint with that uid owns it.
  static json::object owned(const std::map<std::string, std::string>& keys, const std::string& uid = "team-a-iris") {
    json::object object = secret(keys);
    json::object& metadata = object["metadata"].as_object();
    metadata["resourceVersion"] = "77";
    const json::object owner{
        {"apiVersion", "inference-router.dev/v1alpha1"}, {"kind", "OnlineEndpoint"}, {"name", "iris"}, {"uid", uid}};
    metadata["ownerReferences"] = json::array{owner};
    return object;
  }
  static std::string decoded(const json::value& value) {
    std::string text;
    EXPECT_TRUE(absl::Base64Unescape(value.as_string().c_str(), &text));
    return text;
  }
};

TEST_F(KeysTest, AreMadeInASecretThatTheEndpointOwns) {
  world.add_endpoint(iris());
  start("a");
  ASSERT_EQ(secrets().size(), 1u);
  const ReportServer::Request made = secrets().at(0);
  EXPECT_EQ(made.method, "POST");
  EXPECT_EQ(made.path, kSecrets);
  EXPECT_EQ(
      json::value(made.body.at("metadata")),
      json::parse(R"({"name":"iris-keys","namespace":"team-a","ownerReferences":[{"apiVersion":"inference-router.dev/v1alpha1",
              "kind":"OnlineEndpoint","name":"iris","uid":"team-a-iris","controller":false,"blockOwnerDeletion":false}]})"));
  EXPECT_EQ(made.body.at("type"), "Opaque");
  const std::string primary = decoded(made.body.at("data").at("primaryKey"));
  const std::string secondary = decoded(made.body.at("data").at("secondaryKey"));
  EXPECT_NE(primary, secondary);
  for (const std::string& key : {primary, secondary}) {
    EXPECT_EQ(key.size(), 43u);
    EXPECT_EQ(key.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), key.npos);
    std::string bytes;
    EXPECT_TRUE(absl::WebSafeBase64Unescape(key, &bytes));
    EXPECT_EQ(bytes.size(), 32u);
  }
}

TEST_F(KeysTest, AreNotMadeUnlessAskedFor) {
  options.create_keys = false;
  world.add_endpoint(iris());
  start("a");
  pass(seconds(5));
  EXPECT_TRUE(secrets().empty());
}

TEST_F(KeysTest, AreNotMadeForWhoDoesNotServeByKey) {
  world.add_endpoint({.name = "tokens", .auth_mode = "aad_token"}).add_endpoint(iris());
  world.taken.endpoints.insert("iris");
  start("a");
  pass(seconds(5));
  EXPECT_TRUE(secrets().empty());
}

TEST_F(KeysTest, AreMadeAnewWhereOneWasRemoved) {
  world.add_endpoint(iris()).add_secret(owned({{"secondaryKey", "b"}}));
  start("a");
  ASSERT_EQ(secrets().size(), 1u);
  const ReportServer::Request patch = secrets().at(0);
  EXPECT_EQ(patch.method, "PATCH");
  EXPECT_EQ(patch.path, std::string(kSecrets) + "/iris-keys");
  EXPECT_NE(patch.head.find("application/merge-patch+json"), patch.head.npos);
  EXPECT_EQ(json::value(patch.body.at("metadata")), json::parse(R"({"resourceVersion":"77"})"));
  ASSERT_EQ(patch.body.at("data").as_object().size(), 1u) << "the other key stays";
  EXPECT_EQ(decoded(patch.body.at("data").at("primaryKey")).size(), 43u);
}

TEST_F(KeysTest, AreLeftAloneWhereTheyAreComplete) {
  world.add_endpoint(iris()).add_secret(owned({{"primaryKey", "a"}, {"secondaryKey", "not visible: \x01"}}));
  start("a");
  pass(seconds(5));
  EXPECT_TRUE(secrets().empty()) << "a malformed key is a mistake, not a removed key";
}

TEST_F(KeysTest, AreNeverMadeInASecretOfSomebodyElse) {
  world.add_endpoint(iris()).add_secret(secret({{"primaryKey", "a"}}));
  start("a");
  pass(seconds(2));
  world.add_secret(secret({}));
  changed();
  pass(seconds(2));
  world.add_secret(owned({}, "another-uid"));
  changed();
  pass(seconds(2));
  EXPECT_TRUE(secrets().empty());
}

TEST_F(KeysTest, AreNotSentAgainWhenSomebodyWasFaster) {
  server.refusals[kSecrets] = 409;
  world.add_endpoint(iris());
  start("a");
  pass(seconds(30));
  EXPECT_EQ(secrets().size(), 1u);
}

TEST_F(KeysTest, AreTriedAgainAfterARefusalAndNotShownInTheLog) {
  server.refusals[kSecrets] = 403;
  world.add_endpoint(iris());
  testing::internal::CaptureStderr();
  start("a");
  pass(seconds(10));
  const std::string log = testing::internal::GetCapturedStderr();
  ASSERT_GE(secrets().size(), 2u);
  ASSERT_FALSE(log.empty()) << "the refusal is logged";
  for (const auto& each : secrets()) {
    for (const auto& [name, value] : each.body.at("data").as_object()) {
      EXPECT_EQ(log.find(decoded(value)), log.npos);
      EXPECT_EQ(log.find(value.as_string().c_str()), log.npos);
    }
  }
}

TEST_F(KeysTest, AreMadeByTheRouterThatLeadsAlone) {
  server.refusals[kSecrets] = 201;
  world.add_endpoint(iris());
  start("a");
  start("b");
  pass(seconds(5));
  for (const auto& each : secrets()) EXPECT_EQ(each.method, "POST");
  EXPECT_EQ(secrets().size(), 1u);
}

}  // namespace
}  // namespace router::discovery

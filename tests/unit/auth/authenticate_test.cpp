#include "router/auth/authenticate.h"

#include <gtest/gtest.h>

#include "tests/support/messages.h"

namespace router::auth {
namespace {

using test::Request;
using test::request_text;

class Authenticate : public ::testing::Test {
 protected:
  Authenticate() { endpoint_.keys = {{"first-key"}, {"second-key", config::KeyName::kSecondary}}; }
  Result<model::Caller> check(const std::string& fields) {
    const Request request(request_text("POST", "/", fields));
    return authenticate(request.head(), endpoint_);
  }

  model::Endpoint endpoint_;
};

TEST_F(Authenticate, LetsBothKeysInAndTellsWhichItWas) {
  EXPECT_STREQ(check("Authorization: Bearer first-key\r\n")->identity, "primary");
  EXPECT_STREQ(check("Authorization: bearer  second-key\r\n")->identity, "secondary");
}

TEST_F(Authenticate, TellsALoneSecondaryKeyAsSecondary) {
  endpoint_.keys = {{"second-key", config::KeyName::kSecondary}};
  EXPECT_STREQ(check("Authorization: Bearer second-key\r\n")->identity, "secondary");
}

TEST_F(Authenticate, RefusesEverythingElse) {
  for (const char* fields :
       {"", "Authorization: first-key\r\n", "Authorization: Basic first-key\r\n", "Authorization: Bearer\r\n",
        "Authorization: Bearer first-ke\r\n", "Authorization: Bearer first-keyy\r\n", "Authorization: Bearer FIRST-KEY\r\n",
        "Authorization: Bearer first-key second-key\r\n"}) {
    const Result<model::Caller> caller = check(fields);
    ASSERT_FALSE(caller) << fields;
    EXPECT_EQ(caller.error().reason, Reason::kUnauthorized);
  }
}

TEST_F(Authenticate, TakesAnApiKeyForABearerKey) {
  EXPECT_STREQ(check("api-key: first-key\r\n")->identity, "primary");
  EXPECT_STREQ(check("Api-Key:  second-key \r\n")->identity, "secondary");
  for (const char* fields :
       {"api-key: \r\n", "api-key: first-ke\r\n", "api-key: FIRST-KEY\r\n", "api-key: Bearer first-key\r\n",
        "api-key: first-key, second-key\r\n", "api_key: first-key\r\n", "x-api-key: first-key\r\n"}) {
    const Result<model::Caller> caller = check(fields);
    ASSERT_FALSE(caller) << fields;
    EXPECT_EQ(caller.error().reason, Reason::kUnauthorized);
  }
}

TEST_F(Authenticate, RefusesMoreThanOneCredentialWhateverTheySay) {
  const std::string bearer = "Authorization: Bearer first-key\r\n";
  const std::string api_key = "api-key: first-key\r\n";
  for (const std::string& fields :
       {bearer + bearer, api_key + api_key, bearer + api_key, api_key + bearer, bearer + "api-key:\r\n",
        api_key + "Authorization:\r\n", api_key + "Authorization: Basic eA==\r\n"}) {
    const Result<model::Caller> caller = check(fields);
    ASSERT_FALSE(caller) << fields;
    EXPECT_EQ(caller.error().reason, Reason::kUnauthorized);
  }
}

TEST_F(Authenticate, LetsNobodyInWithoutKeys) {
  endpoint_.keys.clear();
  EXPECT_FALSE(check("Authorization: Bearer \r\n"));
  EXPECT_FALSE(check("api-key: \r\n"));
  EXPECT_FALSE(check("api-key: x\r\n"));
  EXPECT_FALSE(check("Authorization: Bearer x\r\n"));
}

TEST_F(Authenticate, StaysClosedForAModeThatIsNotSupported) {
  endpoint_.auth_mode = config::AuthMode::kAadToken;
  EXPECT_FALSE(check("Authorization: Bearer first-key\r\n"));
  EXPECT_FALSE(check("api-key: first-key\r\n"));
}

}  // namespace
}  // namespace router::auth

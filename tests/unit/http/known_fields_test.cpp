#include "router/http/known_fields.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace router::http {
namespace {

TEST(Identify, KnowsAFieldInAnyCase) {
  EXPECT_EQ(identify("Content-Length"), Field::kContentLength);
  EXPECT_EQ(identify("X-FORWARDED-for"), Field::kXForwardedFor);
  EXPECT_EQ(identify("via"), Field::kVia);
  EXPECT_EQ(identify("x-mine"), Field::kOther);
  EXPECT_EQ(identify("accept_language"), Field::kOther);
  EXPECT_EQ(identify(std::string(40, 'x')), Field::kOther);
}

/// A WSGI server passes X_Forwarded_For to its program under the name of X-Forwarded-For.
TEST(Identify, SeesThroughAnUnderscore) {
  for (const std::string name :
       {"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Anything", "X-Real-IP", "Content-Length",
        "Transfer-Encoding", "Keep-Alive", "Proxy-Authorization", "Api-Key", "X-Request-Id", "X-Ms-Client-Request-Id",
        "X-Request-Deadline-Ms", "Azureml-Model-Deployment", "True-Client-IP", "X-Original-URL", "User-Agent"}) {
    std::string all = name;
    std::replace(all.begin(), all.end(), '-', '_');
    EXPECT_EQ(identify(all), Field::kLookalike) << all;
    std::string first = name;
    first[name.find('-')] = '_';
    EXPECT_EQ(identify(first), Field::kLookalike) << first;
    EXPECT_NE(identify(name), Field::kLookalike) << name;
    EXPECT_NE(identify(name), Field::kOther) << name;
  }
}

TEST(Identify, KnowsByWhichFieldsAProxySpeaks) {
  for (const char* name :
       {"X-Forwarded-Port", "X-Forwarded-Prefixes", "X-Forwarded-Server", "X-Forwarded-Client-Cert", "x-forwarded-ssl",
        "X-Forwarded", "X-Forwarded-", "X-Forwarded-A-Name-That-Is-Longer-Than-All-Others", "X-Real-IP", "True-Client-IP",
        "X-Original-URL", "X-Client-IP", "CF-Connecting-IP", "X-Cluster-Client-IP", "X-Original-Host", "X-Rewrite-URL",
        "Client-Cert", "X-Original-Forwarded-For", "X-Envoy-External-Address"}) {
    EXPECT_EQ(identify(name), Field::kForwarding) << name;
  }
  for (const char* name : {"X-Forwarder-For", "X-Forward", "Y-Forwarded-For", "X-Originals", "Content-Type"}) {
    EXPECT_EQ(identify(name), Field::kOther) << name;
  }
}

TEST(Identify, KnowsByWhichFieldsRoutersSpeak) {
  for (const char* name :
       {"x-ir", "X-Ir", "x-ir-age-us", "X-IR-Deployment", "x-ir-", "X-Ir-A-Name-That-Is-Longer-Than-All-The-Others"}) {
    EXPECT_EQ(identify(name), Field::kFleet) << name;
  }
  for (const char* name : {"x_ir", "X_Ir", "x_ir_age_us", "X-IR_Id", "x-ir-age_us"})
    EXPECT_EQ(identify(name), Field::kLookalike) << name;
  for (const char* name : {"x-irs", "x-i", "y-ir", "x-ip", "x-irrelevant", "y-ir-id", "x-iris-id"})
    EXPECT_EQ(identify(name), Field::kOther) << name;
}

}  // namespace
}  // namespace router::http

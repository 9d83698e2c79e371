#include "router/proxy/public_path.h"

#include <gtest/gtest.h>

#include <string>

namespace router::proxy {
namespace {

constexpr std::string_view kPublic = "/api/v1/endpoint/iris/score";

struct Asked {
  Asked(std::string_view pods, std::string_view asked, std::string_view rest) {
    endpoint.name = "iris";
    deployment.score_path = pods;
    head.path = asked;
    route.endpoint = &endpoint;
    route.deployment = &deployment;
    route.scores = true;
    route.path = !rest.empty() && pods.ends_with('/') ? pods.substr(0, pods.size() - 1) : pods;
    route.path_rest = rest;
  }
  std::string location(std::string_view from, std::string_view prefix = "") const {
    const PublicLocation found = public_location(from, {"https", "a.test:8080", prefix}, head, route);
    if (!found.mapped) return std::string(from);
    return std::string(found.origin).append(found.path).append(found.rest);
  }
  std::string prefix() const { return std::string(public_prefix(head, route)); }

  model::Endpoint endpoint;
  model::Deployment deployment;
  http::RequestHead head;
  model::Route route;
};

std::string below(std::string_view rest) { return std::string(kPublic).append(rest); }

TEST(PublicLocation, IsBelowTheScoringUriThatWasAsked) {
  const std::string path = below("/a");
  const Asked asked("/run", path, "/a");
  EXPECT_EQ(asked.location("/run"), kPublic);
  EXPECT_EQ(asked.location("/run/jobs/1?x=1#f"), below("/jobs/1?x=1#f"));
  EXPECT_EQ(asked.location("/run?x"), below("?x"));
  EXPECT_EQ(asked.location("https://a.test:8080/run/1"), "https://a.test:8080" + below("/1"));
  EXPECT_EQ(asked.location("HTTPS://A.test:8080/run/1"), "HTTPS://A.test:8080" + below("/1"));
  EXPECT_EQ(asked.location("//a.test:8080/run/1"), "//a.test:8080" + below("/1"));
}

TEST(PublicLocation, LeavesWhatIsNotThePodsOwnPath) {
  const std::string path = below("/a");
  const Asked asked("/run", path, "/a");
  for (const char* location : {"",
                               "jobs/1",
                               "./1",
                               "../1",
                               "?x",
                               "#f",
                               "/running",
                               "/",
                               "/docs",
                               "http://a.test:8080/run/1",
                               "https://b.test/run/1",
                               "https://a.test/run/1",
                               "https://a.test:8080@b.test/run",
                               "//b.test/run",
                               "https://a.test:8080",
                               "https:/run",
                               "ftp://a.test:8080/run",
                               "/api/v1/endpoint/iris/score",
                               "/api/v1/endpoint/iris/score/jobs/1",
                               "https://a.test:8080/api/v1/endpoint/iris/score?x"}) {
    EXPECT_EQ(asked.location(location), location);
  }
}

TEST(PublicLocation, IsMappedFromTheRootOfThePod) {
  const std::string path = below("/a");
  const Asked asked("/", path, "/a");
  EXPECT_EQ(asked.location("/"), below("/"));
  EXPECT_EQ(asked.location("/jobs/1"), below("/jobs/1"));
  EXPECT_EQ(asked.location(below("/jobs/1")), below("/jobs/1")) << "the pod has added the prefix itself";
}

/// With the scoring route `/`, the router took a public path in a Location for the pod's own path and prefixed it again.
TEST(PublicLocation, MappedAPublicPathThatWasNotSpelledAsTheClientAskedIt) {
  for (const std::string_view start :
       {"/api/v1/endpoint/iris/score", "/api/v1/service/IRIS/score", "/api/v1/endpoint/Iris/score"}) {
    const std::string path = std::string(start) + "/a";
    const Asked asked("/", path, "/a");
    for (const std::string_view base : {"/api/v1/endpoint/iris", "/api/v1/service/iris", "/api/v1/endpoint/IRIS"}) {
      for (const std::string_view rest : {"", "/", "?x", "/score", "/score/jobs/1?x#f", "/swagger.json"}) {
        const std::string location = std::string(base).append(rest);
        EXPECT_EQ(asked.location(location), location);
        EXPECT_EQ(asked.location("https://a.test:8080" + location), "https://a.test:8080" + location);
        EXPECT_EQ(asked.location("//A.test:8080" + location), "//A.test:8080" + location);
      }
    }
  }
}

TEST(PublicLocation, MappedWhatThePodHadMadeOfATrustedProxysPrefix) {
  const std::string path = below("/a");
  const Asked asked("/", path, "/a");
  const std::string made = "/gw/v2" + below("/jobs/1");
  for (const std::string_view prefix : {"/gw/v2", "/gw/v2/"}) {
    EXPECT_EQ(asked.location(made, prefix), made);
    EXPECT_EQ(asked.location("https://a.test:8080" + made, prefix), "https://a.test:8080" + made);
    EXPECT_EQ(asked.location(below("/jobs/1"), prefix), below("/jobs/1"));
    EXPECT_EQ(asked.location("/jobs/1", prefix), below("/jobs/1"));
  }
  EXPECT_EQ(asked.location(made), below(made)) << "without a prefix it is the pod's own path";
  EXPECT_EQ(asked.location(made, "/gw"), below(made));
  EXPECT_EQ(asked.location(below("/jobs/1"), "/"), below("/jobs/1"));
}

TEST(PublicLocation, IsMappedIfItIsPublicOfAnotherEndpointOnly) {
  const std::string path = below("/a");
  const Asked asked("/", path, "/a");
  for (const std::string location :
       {"/api/v1/endpoint/iris2/score", "/api/v1/endpoint/", "/api/v1/endpoint", "/API/v1/endpoint/iris",
        "/api/v1/endpoint//iris/score", "/api/v1/models/iris", "/x/api/v1/endpoint/iris/score"}) {
    EXPECT_EQ(asked.location(location), below(location));
  }
}

/// A Location stays as the pod sent it, or begins with the client's origin and the path of its request.
TEST(PublicLocation, LeadsNowhereElse) {
  const std::string path = below("/a");
  const Asked asked("/", path, "/a");
  for (const std::string location :
       {"//evil.test/gw/api/v1/endpoint/iris", "///evil.test", "/\\evil.test", "/gw//evil.test", "/gw/\\evil.test"}) {
    const std::string told = asked.location(location, "/gw");
    EXPECT_TRUE(told == location || told == below(location)) << told;
  }
}

TEST(PublicLocation, IsThePodsOwnUnderAHostNameOfTheEndpoint) {
  const Asked asked("/run", "/score/a", "/a");
  EXPECT_EQ(asked.location("/run/jobs/1"), "/run/jobs/1");
}

TEST(PublicPrefix, IsWhatStandsBeforeThePodsPath) {
  const std::string path = below("/a");
  EXPECT_EQ(Asked("/score", path, "/a").prefix(), "/api/v1/endpoint/iris");
  EXPECT_EQ(Asked("/score", kPublic, "").prefix(), "/api/v1/endpoint/iris");
  EXPECT_EQ(Asked("/", path, "/a").prefix(), kPublic);
  EXPECT_EQ(Asked("/", kPublic, "").prefix(), kPublic);
  EXPECT_EQ(Asked("/run", path, "/a").prefix(), "") << "no prefix maps the pod's path to the client's";
  EXPECT_EQ(Asked("/score", "/score/a", "/a").prefix(), "");
  EXPECT_EQ(Asked("/", "/score/a", "/a").prefix(), "/score") << "under a host name of the endpoint";
}

}  // namespace
}  // namespace router::proxy

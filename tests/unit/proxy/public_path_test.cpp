#include "router/proxy/public_path.h"

#include <gtest/gtest.h>

#include <string>

namespace router::proxy {
namespace {

constexpr std::string_view kPublic = "/api/v1/endpoint/iris/score";

struct Asked {
  Asked(std::string_view pods, std::string_view asked, std::string_view rest) {
    deployment.score_path = pods;
    head.path = asked;
    route.deployment = &deployment;
    route.scores = true;
    route.path = !rest.empty() && pods.ends_with('/') ? pods.substr(0, pods.size() - 1) : pods;
    route.path_rest = rest;
  }
  std::string location(std::string_view from, std::string_view scheme = "https") const {
    const PublicLocation found = public_location(from, scheme, "a.test:8080", head, route);
    if (!found.mapped) return std::string(from);
    return std::string(found.origin).append(found.path).append(found.rest);
  }
  std::string prefix() const { return std::string(public_prefix(head, route)); }

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
  EXPECT_EQ(asked.location(below("/jobs/1")), below("/jobs/1")) << "it knows the prefix";
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
  EXPECT_EQ(Asked("/run", path, "/a").prefix(), "") << "no prefix leads from one to the other";
  EXPECT_EQ(Asked("/score", "/score/a", "/a").prefix(), "");
}

}  // namespace
}  // namespace router::proxy

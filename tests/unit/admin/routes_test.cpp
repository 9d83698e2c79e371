#include "router/admin/routes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

namespace router::admin {
namespace {

using testing::HasSubstr;

Response ask(const std::vector<OperatorRoute>& routes, std::string_view method, std::string_view path) {
  std::string allow;
  return answer(routes, {.method = method, .path = path, .query = {}, .body = {}}, false, allow);
}

std::vector<OperatorRoute> observe(std::vector<std::string> not_ready, std::vector<std::string> hanging = {}) {
  const auto metrics = [] {
    return [](std::string& text) {
      text += "metrics text";
      return false;
    };
  };
  const auto scaling = [](std::string_view name) {
    return name == "team-a/house/blue" ? std::optional<std::string>("{\"demand_slots\":1.5}\n") : std::nullopt;
  };
  return observe_routes({.metrics = metrics,
                         .hanging = [hanging] { return hanging; },
                         .not_ready = [not_ready] { return not_ready; },
                         .scaling = scaling});
}

TEST(ObserveRoutes, TellTheDemandOfADeploymentThatIsScaled) {
  EXPECT_EQ(ask(observe({}), "GET", "/scaling/team-a/house/blue").body, "{\"demand_slots\":1.5}\n");
  for (const char* path : {"/scaling/team-a/house/green", "/scaling/", "/scaling", "/scalingteam-a/house/blue"}) {
    EXPECT_EQ(ask(observe({}), "GET", path).status, 404) << path;
  }
  EXPECT_EQ(ask(observe({}), "POST", "/scaling/team-a/house/blue").status, 405);
}

TEST(ObserveRoutes, ShowTheMetricsInThePrometheusFormat) {
  const Response response = ask(observe({}), "GET", "/metrics");
  std::string text;
  EXPECT_FALSE(response.pieces(text));
  EXPECT_EQ(text, "metrics text");
  EXPECT_THAT(response.content_type, HasSubstr("text/plain; version=0.0.4"));
}

TEST(ObserveRoutes, SayThatTheProcessLivesEvenWhenItIsNotReady) {
  EXPECT_EQ(ask(observe({"draining"}), "GET", "/healthz").status, 200);
}

TEST(ObserveRoutes, SayThatAShardNoLongerTurns) {
  EXPECT_EQ(ask(observe({}), "GET", "/healthz").body, "ok\n");
  const Response response = ask(observe({}, {"shard 1 has not turned for 6 s"}), "GET", "/healthz");
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(response.body, "shard 1 has not turned for 6 s\n");
}

TEST(ObserveRoutes, SayWhyTheRouterIsNotReady) {
  EXPECT_EQ(ask(observe({}), "GET", "/readyz").status, 200);
  const Response response = ask(observe({"draining", "sources not listed"}), "GET", "/readyz");
  EXPECT_EQ(response.status, 503);
  const boost::json::value body = boost::json::parse(response.body);
  EXPECT_EQ(body.at("reasons").as_array().size(), 2u);
  EXPECT_EQ(body.at("reasons").at(0).as_string(), "draining");
}

class AdminRoutes : public testing::Test {
 protected:
  int drained = 0;
  absl::StatusOr<std::uint64_t> outcome = std::uint64_t{7};
  std::string forgotten;
  absl::Status forgets = absl::OkStatus();
  std::vector<OperatorRoute> routes = admin_routes({.status = [] { return R"({"generation":7})"; },
                                                    .drain = [this] { ++drained; },
                                                    .reload = [this] { return outcome; },
                                                    .forget =
                                                        [this](const std::string& member) {
                                                          forgotten = member;
                                                          return forgets;
                                                        }});
};

TEST_F(AdminRoutes, ShowTheStatusAsItIs) { EXPECT_EQ(ask(routes, "GET", "/status").body, R"({"generation":7})"); }

TEST_F(AdminRoutes, DrainOnlyWhenPosted) {
  EXPECT_EQ(ask(routes, "GET", "/drain").status, 405);
  EXPECT_EQ(drained, 0);
  EXPECT_EQ(ask(routes, "POST", "/drain").status, 202);
  EXPECT_EQ(drained, 1);
}

TEST_F(AdminRoutes, TellTheGenerationAfterAReload) {
  const Response response = ask(routes, "POST", "/reload");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(boost::json::parse(response.body).at("generation").to_number<int>(), 7);
}

TEST_F(AdminRoutes, TellEveryMistakeOfARefusedConfiguration) {
  outcome = absl::InvalidArgumentError("a.yml:3: traffic: must be 100\n\nb.yml:9: nmae: unknown key\n");
  const Response response = ask(routes, "POST", "/reload");
  EXPECT_EQ(response.status, 422);
  const boost::json::value body = boost::json::parse(response.body);
  ASSERT_EQ(body.at("error").at("mistakes").as_array().size(), 2u);
  EXPECT_EQ(body.at("error").at("mistakes").at(1).as_string(), "b.yml:9: nmae: unknown key");
}

TEST_F(AdminRoutes, ForgetTheMemberOfTheQueryOrOfTheBody) {
  Request request{.method = "POST", .path = "/fleet/forget", .query = "member=10.0.0.1:9903", .body = ""};
  std::string allow;
  EXPECT_EQ(answer(routes, request, false, allow).status, 202);
  EXPECT_EQ(forgotten, "10.0.0.1:9903");
  request = {.method = "POST", .path = "/fleet/forget", .query = "", .body = "router-1-00ff\n"};
  EXPECT_EQ(answer(routes, request, false, allow).status, 202);
  EXPECT_EQ(forgotten, "router-1-00ff");
  EXPECT_EQ(ask(routes, "POST", "/fleet/forget").status, 400) << "no member";
  EXPECT_EQ(ask(routes, "GET", "/fleet/forget").status, 405);
  forgets = absl::NotFoundError("this router has no fleet");
  EXPECT_EQ(answer(routes, request, false, allow).status, 404);
}

TEST_F(AdminRoutes, TellAConfigurationThatCannotBeTakenUpNowFromAWrongOne) {
  outcome = absl::FailedPreconditionError("threads: cannot change while the router runs");
  EXPECT_EQ(ask(routes, "POST", "/reload").status, 409);
}

}  // namespace
}  // namespace router::admin

#include "router/routing/resolve.h"

#include <gtest/gtest.h>

#include "tests/support/messages.h"

namespace router::routing {
namespace {

using model::Deployment;
using model::Endpoint;
using test::Request;
using test::request_text;

std::unique_ptr<const Deployment> deployment(const std::string& name) {
  auto made = std::make_unique<Deployment>();
  made->name = name;
  made->score_path = "/run";
  return made;
}

/// `iris` has blue (90), green (10) and red (0); `idle` has no traffic; `chat` has a host name.
class Resolve : public ::testing::Test {
 protected:
  Resolve() {
    Endpoint& iris = add("iris", {"blue", "green", "red"});
    iris.traffic = {{90, iris.deployments[0].get()}, {100, iris.deployments[1].get()}};
    add("idle", {"blue"});
    Endpoint& chat = add("chat", {"large"});
    chat.traffic = {{100, chat.deployments[0].get()}};
    table_.by_host["chat.example"] = &chat;
  }

  Endpoint& add(const std::string& name, const std::vector<std::string>& deployments) {
    auto made = std::make_unique<Endpoint>();
    made->name = name;
    for (const std::string& each : deployments) made->deployments.push_back(deployment(each));
    Endpoint& endpoint = *made;
    table_.by_name[name] = made.get();
    table_.endpoints.push_back(std::move(made));
    return endpoint;
  }

  static std::uint64_t percent(std::uint64_t value) { return value << 32; }
  struct Resolution {
    const Endpoint* endpoint;
    Result<model::Route> route;
  };
  Resolution find(const Request& request, std::uint64_t random = 0) {
    const Destination found = find_endpoint(table_, request.head());
    if (!found.target) return {found.endpoint, found.target.error()};
    return {found.endpoint, choose_deployment(*found.endpoint, *found.target, request.head(), random)};
  }
  std::string path_of(const std::string& target, const std::string& fields = "") {
    const Request request(request_text("POST", target, fields));
    const Resolution found = find(request);
    if (!found.route) return std::string(name_of(found.route.error().reason));
    return found.route->endpoint->name + "/" + found.route->deployment->name + " " + std::string(found.route->path) +
           std::string(found.route->path_rest);
  }

  model::RoutingTable table_;
};

// It was 404, which no client tries again: a load balancer may send requests to a router that has just been started again.
TEST_F(Resolve, AnEndpointThatWasNotReadYetIsNotMissing) {
  add("known", {"blue"});
  table_.complete = false;
  EXPECT_EQ(path_of("/api/v1/endpoint/unknown/score"), "no_ready_replica");
  EXPECT_EQ(path_of("/score"), "no_ready_replica") << "the host may be an endpoint's";
  EXPECT_EQ(path_of("/api/v1/endpoint/known/other"), "endpoint_not_found");
  table_.complete = true;
  EXPECT_EQ(path_of("/api/v1/endpoint/unknown/score"), "endpoint_not_found");
}

TEST_F(Resolve, GivesTheShareOfAMissingDeploymentToNobody) {
  Endpoint& endpoint = add("half", {"blue"});
  endpoint.traffic = {{60, endpoint.deployments[0].get()}};
  const Request request(request_text("POST", "/api/v1/endpoint/half/score"));
  EXPECT_TRUE(find(request, percent(59)).route);
  for (const std::uint64_t missing : {60, 99}) {
    const Resolution found = find(request, percent(missing));
    ASSERT_FALSE(found.route);
    EXPECT_EQ(found.route.error().reason, Reason::kDeploymentNotFound);
  }
}

TEST_F(Resolve, ServesBothScoringPrefixes) {
  EXPECT_EQ(path_of("/api/v1/endpoint/iris/score"), "iris/blue /run");
  EXPECT_EQ(path_of("/api/v1/service/iris/score"), "iris/blue /run");
}

TEST_F(Resolve, PutsWhatFollowsScoreBehindTheScoringRoute) {
  EXPECT_EQ(path_of("/api/v1/endpoint/iris/score/v2/models?x=1"), "iris/blue /run/v2/models");
  EXPECT_EQ(path_of("/api/v1/endpoint/iris/scores"), "endpoint_not_found");
}

TEST_F(Resolve, ComparesNamesWithoutCase) {
  EXPECT_EQ(path_of("/api/v1/endpoint/IRIS/score"), "iris/blue /run");
  EXPECT_EQ(path_of("/api/v1/endpoint/iris/score", "azureml-model-deployment: GREEN\r\n"), "iris/green /run");
}

TEST_F(Resolve, FindsASwaggerFileThroughBothPrefixes) {
  EXPECT_EQ(path_of("/api/v1/endpoint/iris/swagger.json"), "iris/blue /swagger.json");
  EXPECT_EQ(path_of("/api/v1/service/iris/swagger.json"), "iris/blue /swagger.json");
}

TEST_F(Resolve, LetsTheHeaderChooseADeploymentWithoutTraffic) {
  EXPECT_EQ(path_of("/api/v1/endpoint/iris/score", "azureml-model-deployment: red\r\n"), "iris/red /run");
}

TEST_F(Resolve, RefusesNamesThatAreNotThere) {
  EXPECT_EQ(path_of("/api/v1/endpoint/rose/score"), "endpoint_not_found");
  EXPECT_EQ(path_of("/api/v1/endpoint//score"), "endpoint_not_found");
  EXPECT_EQ(path_of("/api/v1/endpoint/iris"), "endpoint_not_found");
  EXPECT_EQ(path_of("/"), "endpoint_not_found");
  EXPECT_EQ(path_of("/api/v1/endpoint/" + std::string(300, 'a') + "/score"), "endpoint_not_found");
  EXPECT_EQ(path_of("/api/v1/endpoint/iris/score", "azureml-model-deployment: pink\r\n"), "deployment_not_found");
  for (const char* second : {"green", "red"}) {
    const std::string twice = std::string("azureml-model-deployment: green\r\nAzureML-Model-Deployment: ") + second + "\r\n";
    EXPECT_EQ(path_of("/api/v1/endpoint/iris/score", twice), "bad_request") << second;
  }
}

TEST_F(Resolve, RefusesAnEndpointWithoutTraffic) {
  const Request request(request_text("POST", "/api/v1/endpoint/idle/score"));
  const Resolution found = find(request);
  EXPECT_EQ(found.route.error().reason, Reason::kDeploymentNotFound);
  ASSERT_NE(found.endpoint, nullptr);  // its status profile and its metrics apply
  EXPECT_EQ(found.endpoint->name, "idle");
}

TEST_F(Resolve, SplitsTrafficByPercent) {
  const Request request(request_text("POST", "/api/v1/endpoint/iris/score"));
  std::size_t blue = 0;
  for (std::uint64_t draw = 0; draw < 100; ++draw) blue += find(request, percent(draw)).route->deployment->name == "blue";
  EXPECT_EQ(blue, 90u);
}

TEST_F(Resolve, RefusesAWayOutOfTheScoringPath) {
  for (const char* rest : {"/..", "/../admin", "/a/../b", "/%2e%2e/admin", "/.%2E/x", "/a%2fb", "/a%5Cb", "/a\\b", "/."}) {
    EXPECT_EQ(path_of("/api/v1/endpoint/iris/score" + std::string(rest)), "bad_request") << rest;
  }
  for (const char* rest : {"/...", "/a..b", "/..a", "/.hidden", "/%2e%2ea", "/a%20b"}) {
    EXPECT_EQ(path_of("/api/v1/endpoint/iris/score" + std::string(rest)), "iris/blue /run" + std::string(rest));
  }
}

/// Names of files and models contain slashes, and the clients of some servers encode them.
TEST_F(Resolve, HadNoWayForAnEncodedSlash) {
  Endpoint& endpoint = add("files", {"open", "closed"});
  auto open = deployment("open");
  const_cast<Deployment&>(*open).allow_encoded_slashes = true;
  endpoint.deployments[0] = std::move(open);
  endpoint.traffic = {{100, endpoint.deployments[0].get()}};
  endpoint.mirror = {100, endpoint.deployments[1].get()};
  const std::string score = "/api/v1/endpoint/files/score";
  for (const char* rest : {"/a%2Fb", "/a%2fb", "/%2F", "/a%2F%2Fb", "/a..%2F..b", "/a%2f...", "/org%2Fmodel:predict"}) {
    EXPECT_EQ(path_of(score + rest), "files/open /run" + std::string(rest)) << "unchanged, with its percent-encoding";
    EXPECT_EQ(path_of(score + rest, "azureml-model-deployment: closed\r\n"), "bad_request") << rest;
    EXPECT_EQ(find(Request(request_text("POST", score + rest))).route->mirror, nullptr)
        << "the mirror does not allow encoded slashes either";
  }
  for (const char* rest :
       {"/..%2fx", "/%2e%2e%2Fx", "/a%2F..", "/a%2F..%2Fb", "/a%2f%2E%2e/b", "/.%2Fx", "/a%2F.", "/a%252Fb", "/a%2F%252e%252e",
        "/a%2F..;/y", "/a%2f..%3bx/y", "/%2F..;x", "/a%5Cb", "/a%2F\\", "/a%2F%00", "/%c0%af", "/a%2F%c0%ae", "/%2F%2e%2e"}) {
    EXPECT_EQ(path_of(score + rest), "bad_request") << rest;
  }
  EXPECT_NE(find(Request(request_text("POST", score + "/a"))).route->mirror, nullptr);
}

TEST_F(Resolve, RefusesDotSegmentsThatCarryAParameter) {
  for (const char* rest : {"/..;/y", "/..;a=b/y", "/.;/y", "/..;", "/.;x", "/%2e%2e;/y", "/%2e%2e%3b/y", "/.%2E%3Bx/y",
                           "/%2e%3b/y", "/a/..;/..;/y", "/..%253b/y", "/;%2f../y", "/...;%5c"}) {
    EXPECT_EQ(path_of("/api/v1/endpoint/iris/score" + std::string(rest)), "bad_request") << rest;
  }
  for (const char* rest : {"/a;/y", "/a;v=1..2", "/...;/y", "/;/y", "/a..;/y", "/..a;/y", "/%3b", "/models;x=%2e"}) {
    EXPECT_EQ(path_of("/api/v1/endpoint/iris/score" + std::string(rest)), "iris/blue /run" + std::string(rest)) << rest;
  }
}

TEST_F(Resolve, RefusesDotsAndSlashesThatAreEncodedTwiceOrOverlong) {
  for (const char* rest : {"/%252e%252e/y", "/%252E%252e/y", "/a%252eb", "/%252e", "/%25%32%65%25%32%65/y", "/%%32e%%32e/y",
                           "/a%252fb", "/a%255Cb", "/%25c0%25ae"}) {
    EXPECT_EQ(path_of("/api/v1/endpoint/iris/score" + std::string(rest)), "bad_request") << rest;
  }
  for (const char* rest : {"/%c0%ae%c0%ae/y", "/%C0%AE/y", "/a%c0%aeb", "/%c0%af..", "/%c1%9c", "/%e0%80%ae", "/%F0%80%80%AE",
                           "/%f8%80%80%80%ae", "/%fc%80%80%80%80%ae", "/%c0%2e", "/%c0.", "/%c0%2f"}) {
    EXPECT_EQ(path_of("/api/v1/endpoint/iris/score" + std::string(rest)), "bad_request") << rest;
  }
  for (const char* rest : {"/100%25", "/%25%25", "/%2520", "/%c3%a4", "/%e0%a4%84", "/%f0%9f%98%80", "/%c0", "/%c0a",
                           "/%f8%88%80%80%80", "/%", "/%2", "/%zz", "/%2e%2"}) {
    EXPECT_EQ(path_of("/api/v1/endpoint/iris/score" + std::string(rest)), "iris/blue /run" + std::string(rest)) << rest;
  }
}

TEST_F(Resolve, RefusesAZeroByteBelowTheScoringPath) {
  for (const char* rest : {"/a%00", "/%00", "/..%00/y", "/%2500", "/a/b%00.json"}) {
    EXPECT_EQ(path_of("/api/v1/endpoint/iris/score" + std::string(rest)), "bad_request") << rest;
  }
  EXPECT_EQ(path_of("/api/v1/endpoint/iris/score/a?x=%00"), "iris/blue /run/a") << "the router does not examine queries";
}

/// All paths of the pod are the caller's there, so no path can lead outside (docs/decisions/0005).
TEST_F(Resolve, ForwardsDotSegmentsOfADeclaredHostNameUnchangedButBelowScore) {
  const auto path = [this](const std::string& target) {
    const Request request("POST " + target + " HTTP/1.1\r\nHost: chat.example\r\n\r\n");
    const Resolution found = find(request);
    if (!found.route) return std::string(name_of(found.route.error().reason));
    return std::string(found.route->path) + std::string(found.route->path_rest);
  };
  EXPECT_EQ(path("/v1/..;/y"), "/v1/..;/y");
  EXPECT_EQ(path("/v1/%252e%252e/y"), "/v1/%252e%252e/y");
  EXPECT_EQ(path("/score/..;/y"), "bad_request");
  EXPECT_EQ(path("/score/%c0%ae"), "bad_request");
}

TEST_F(Resolve, ForwardsEveryPathOfADeclaredHostName) {
  const auto path = [this](const std::string& target) {
    const Request request("POST " + target + " HTTP/1.1\r\nHost: Chat.Example:8443\r\n\r\n");
    const Resolution found = find(request);
    return std::string(found.route->path) + std::string(found.route->path_rest);
  };
  EXPECT_EQ(path("/score"), "/run");
  EXPECT_EQ(path("/score/x"), "/run/x");
  EXPECT_EQ(path("/v1/chat/completions"), "/v1/chat/completions");
}

TEST_F(Resolve, GivesAPodAtTheRootOneSlash) {
  Endpoint& root = add("root", {"live", "copy"});
  const_cast<Deployment&>(*root.deployments[0]).score_path = "/";
  const_cast<Deployment&>(*root.deployments[1]).score_path = "/";
  root.traffic = {{100, root.deployments[0].get()}};
  EXPECT_EQ(path_of("/api/v1/endpoint/root/score"), "root/live /");
  EXPECT_EQ(path_of("/api/v1/endpoint/root/score/"), "root/live /");
  EXPECT_EQ(path_of("/api/v1/endpoint/root/score/a/b"), "root/live /a/b");
  root.mirror.deployment = root.deployments[1].get();
  root.mirror.percent = 100;
  const Request request(request_text("POST", "/api/v1/endpoint/root/score/a"));
  const model::Route copy = mirrored(*find(request).route);
  EXPECT_EQ(std::string(copy.path) + std::string(copy.path_rest), "/a");
}

TEST_F(Resolve, TakesAHostNameWithTheDotOfTheRoot) {
  const Request request("POST /score HTTP/1.1\r\nHost: Chat.Example.:8443\r\n\r\n");
  ASSERT_TRUE(find(request).route);
  EXPECT_EQ(find(request).route->endpoint->name, "chat");
}

}  // namespace
}  // namespace router::routing

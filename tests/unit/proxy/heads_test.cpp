#include "router/proxy/heads.h"

#include <gtest/gtest.h>

#include <string>

#include "router/http/head.h"
#include "tests/support/growth.h"
#include "tests/support/quiet_downstream.h"

namespace router::proxy {
namespace {

using BodyKind = stream::BodySize::Kind;

/// Takes only the head of an answer, for a request of `method`.
class HeadTaker final : public test::QuietDownstream {
 public:
  explicit HeadTaker(http::Method method) { asked().method = method; }

  std::string lines;
  stream::BodySize size;

  void begin_head(int status, std::string_view) override { lines = std::to_string(status) + "\n"; }
  void field(std::string_view name, std::string_view value) override {
    lines.append(name).append(": ").append(value).append("\n");
  }
  void end_head(stream::BodySize ended) override { size = ended; }
};

/// Writes the head of an answer with `status` that has no body. If `length` is not empty, the pod sent a Content-Length anyway.
HeadTaker write(config::StatusProfile profile, int status, std::string_view length = {},
                http::Method method = http::Method::kPost) {
  model::Endpoint endpoint;
  endpoint.status_profile = profile;
  model::Deployment deployment;
  deployment.name = "blue";
  http::ResponseHead head;
  head.status = status;
  if (!length.empty()) head.fields.add({"Content-Length", length, http::Field::kContentLength});
  model::Route route;
  route.endpoint = &endpoint;
  route.deployment = &deployment;
  HeadTaker taker(method);
  write_response_head(taker, head, {}, route, RequestIds{});
  return taker;
}

bool has_length(const HeadTaker& taker) { return taker.lines.find("Content-Length") != std::string::npos; }

TEST(WriteResponseHead, SaysThatThe424InThePlaceOfAStatusWithoutBodyIsEmpty) {
  for (const int status : {204, 304}) {
    const HeadTaker taker = write(config::StatusProfile::kManaged, status, "5");
    EXPECT_TRUE(taker.lines.starts_with("424\n"));
    EXPECT_FALSE(has_length(taker)) << "the pod's Content-Length announces a body that never comes";
    EXPECT_EQ(taker.size.kind, BodyKind::kLength);
    EXPECT_EQ(taker.size.length, 0U);
  }
}

TEST(WriteResponseHead, LetsAHeadTellTheLengthThatItsGetWouldHave) {
  const HeadTaker taker = write(config::StatusProfile::kManaged, 500, "5", http::Method::kHead);
  EXPECT_TRUE(has_length(taker));
  EXPECT_EQ(taker.size.kind, BodyKind::kNone);
}

TEST(WriteResponseHead, TakesTheLengthFromA204AndLeavesItToA304) {
  EXPECT_FALSE(has_length(write(config::StatusProfile::kKubernetes, 204, "5")));
  EXPECT_TRUE(has_length(write(config::StatusProfile::kKubernetes, 304, "5")));
}

/// Takes only the head of a request.
class RequestTaker final : public stream::RequestSink {
 public:
  std::string lines;

  void begin_head(std::string_view, std::string_view, std::string_view, std::string_view) override {}
  void field(std::string_view name, std::string_view value) override {
    lines.append(name).append(": ").append(value).append("\n");
  }
  void end_head(stream::BodySize) override {}
  void body_piece(std::string_view) override {}
  void body_end(const http::Fields*) override {}
};

/// The fields that a pod receives for a request with these lines, apart from the request's id.
std::string forwarded(const std::string& lines, bool trusted = false, const http::Via& via = {}, int minor_version = 1,
                      bool forward_authorization = false) {
  const std::string bytes =
      "POST /score HTTP/1." + std::to_string(minor_version) + "\r\nHost: router.test\r\n" + lines + "\r\n";
  HeadTaker from(http::Method::kPost);
  EXPECT_TRUE(http::parse_request(bytes, from.asked()));
  from.asks() = {"192.0.2.7", trusted, false};
  model::Endpoint endpoint;
  endpoint.forward_authorization = forward_authorization;
  const model::Deployment deployment;
  model::Route route;
  route.path = "/score";  // the same path as in the client's request
  route.endpoint = &endpoint;
  route.deployment = &deployment;
  RequestTaker taker;
  const RequestIds ids{};
  write_request_head(taker, from, route, {ids, Patience{}, via, TimePoint{}});
  return taker.lines;
}

const std::string kOurs =
    "Host: router.test\nx-request-id: \nX-Forwarded-For: 192.0.2.7\nX-Forwarded-Proto: http\nX-Forwarded-Host: router.test\n";

TEST(WriteRequestHead, LetsNobodySayWithAnUnderscoreWhatTheRouterSays) {
  const std::string lines =
      "X_Forwarded_For: 6.6.6.6\r\nX-Forwarded_Proto: https\r\nX_Forwarded-Host: evil\r\nX_Real_IP: 6.6.6.6\r\n"
      "Content_Length: 7\r\nTransfer_Encoding: chunked\r\nX_Request_Id: evil\r\nazureml_model_deployment: evil\r\n"
      "x_request_deadline_ms: 1\r\nX_MS_Client_Request_Id: evil\r\napi_key: evil\r\nX_Forwarded_Client_Cert: evil\r\n";
  EXPECT_EQ(forwarded(lines), kOurs);
  EXPECT_EQ(forwarded(lines, true), kOurs);
  EXPECT_NE(forwarded("my_own: 1\r\n").find("my_own: 1\n"), std::string::npos);
}

TEST(WriteRequestHead, KeepsEitherCredentialToItselfUnlessItIsToBeForwarded) {
  for (const std::string line : {"Authorization: Bearer key", "api-key: key", "API-KEY: key"}) {
    EXPECT_EQ(forwarded(line + "\r\n"), kOurs) << line;
    EXPECT_EQ(forwarded(line + "\r\n", true), kOurs) << line;
    EXPECT_NE(forwarded(line + "\r\n", false, {}, 1, true).find(line + "\n"), std::string::npos) << line;
  }
}

TEST(WriteRequestHead, DropsWhatAStrangerSaysAsAProxyAndKeepsWhatATrustedOneSays) {
  for (const std::string line :
       {"X-Forwarded-Port: 1", "X-Forwarded-Prefix: /evil", "X-Forwarded-Server: evil", "X-Forwarded-Client-Cert: evil",
        "X-Real-IP: 6.6.6.6", "True-Client-IP: 6.6.6.6", "X-Original-URL: /evil", "CF-Connecting-IP: 6.6.6.6"}) {
    EXPECT_EQ(forwarded(line + "\r\n"), kOurs) << line;
    EXPECT_NE(forwarded(line + "\r\n", true).find(line + "\n"), std::string::npos) << line;
  }
}

TEST(WriteRequestHead, KeepsSchemeAndHostOfATrustedProxyAsSingleValues) {
  const std::string kept = forwarded("X-Forwarded-Proto: https\r\nX-Forwarded-Host: public\r\n", true);
  EXPECT_NE(kept.find("\nX-Forwarded-Proto: https\nX-Forwarded-Host: public\n"), std::string::npos) << kept;
  EXPECT_EQ(forwarded("X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n"), kOurs);
  EXPECT_EQ(forwarded("", true), kOurs);
  EXPECT_EQ(forwarded("X-Forwarded-Proto: \r\n", true), kOurs);
}

/// A list is not a scheme: uvicorn reads `https, http` as http.
TEST(WriteRequestHead, ToldAListWhereASingleValueIsMeant) {
  const std::string kTold = "\nX-Forwarded-Proto: https\nX-Forwarded-Host: a:1\n";
  for (const std::string lines :
       {"X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a:1\r\nX-Forwarded-Host: b\r\n",
        "X-Forwarded-Proto: https, http\r\nX-Forwarded-Host: a:1,b\r\n",
        "X-Forwarded-Proto: \r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host:\r\nX-Forwarded-Host: a:1\r\n",
        "X-Forwarded-Proto: , ,https\t, http\r\nX-Forwarded-Host: ,\r\nX-Forwarded-Host: \t,a:1 ,\r\n"}) {
    const std::string told = forwarded(lines, true);
    EXPECT_NE(told.find(kTold), std::string::npos) << told;
    EXPECT_EQ(forwarded(lines), kOurs);
  }
  EXPECT_EQ(forwarded("X-Forwarded-Proto: ,\r\nX-Forwarded-Host: , ,\r\nX-Forwarded-Host: \r\n", true), kOurs);
}

TEST(WriteRequestHead, TookAnEmptyLineBeforeATrustedProxysPrefixForItsWord) {
  const std::string told = forwarded("X-Forwarded-Prefix: \r\nX-Forwarded-Prefix: /a,b\r\n", true);
  EXPECT_NE(told.find("\nX-Forwarded-Prefix: /a,b\n"), std::string::npos) << told;
}

TEST(WriteRequestHead, AppendsTheRouterToVia) {
  const http::Via via("router-1");
  EXPECT_EQ(forwarded("", false, via), kOurs + "Via: 1.1 router-1\n");
  EXPECT_EQ(forwarded("", false, via, 0), kOurs + "Via: 1.0 router-1\n");
  const std::string behind_others = forwarded("Via: 1.0 a, 1.1 b\r\nVia: 1.1 c\r\n", false, via);
  EXPECT_LT(behind_others.find("Via: 1.0 a, 1.1 b\nVia: 1.1 c\n"), behind_others.find("Via: 1.1 router-1\n")) << behind_others;
  EXPECT_EQ(forwarded("Via: 1.1 a\r\nConnection: via\r\n", false, via), kOurs + "Via: 1.1 router-1\n");
}

TEST(WriteRequestHead, LeavesViaAloneWhereThatIsOff) {
  EXPECT_EQ(forwarded("Via: 1.1 a\r\n").find("Via: 1.1 a\n"), std::string("Host: router.test\n").size());
  EXPECT_EQ(forwarded(""), kOurs);
}

TEST(WriteRequestHead, CostsInProportionToTheHead) {
  for (const std::string name : {"X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "Via", "Cookie", "X_Own"}) {
    const auto pass_on = [](const std::string& lines) { forwarded(lines, true, http::Via("router-1")); };
    const auto one_line = [&](std::size_t size) {
      std::string list = name + ": a";
      while (list.size() < size) list += ", 1.1 a";
      return list + "\r\n";
    };
    EXPECT_LT(test::growth(16 * 1024, one_line, pass_on), test::kLinear) << name;
    const auto many_lines = [&](std::size_t size) {
      std::string lines;
      for (std::size_t i = 0; i < size / 550; ++i) lines += name + ": " + std::string(500, 'v') + "\r\n";
      return lines;
    };
    EXPECT_LT(test::growth(16 * 1024, many_lines, pass_on), test::kLinear) << name;
  }
}

}  // namespace
}  // namespace router::proxy

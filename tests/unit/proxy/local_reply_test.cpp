#include "router/proxy/local_reply.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <map>
#include <string>
#include <string_view>

#include "tests/support/quiet_downstream.h"

namespace router::proxy {
namespace {

using config::StatusProfile;

TEST(LocalReply, AnswersEveryReasonAsTheContractSays) {
  struct Row {
    Reason reason;
    int kubernetes;
    int managed;
  };
  const Row rows[] = {
      {Reason::kBadRequest, 400, 400},
      {Reason::kUnsupportedCoding, 501, 501},
      {Reason::kUnsupportedVersion, 505, 505},
      {Reason::kUnsupportedMethod, 405, 405},
      {Reason::kUnauthorized, 401, 401},
      {Reason::kForbidden, 403, 403},
      {Reason::kEndpointNotFound, 404, 404},
      {Reason::kDeploymentNotFound, 404, 404},
      {Reason::kPayloadTooLarge, 413, 413},
      {Reason::kHeadersTooLarge, 431, 431},
      {Reason::kClientTimeout, 408, 408},
      {Reason::kTooManyConnections, 503, 503},
      {Reason::kQueueFull, 503, 429},
      {Reason::kQueueTimeout, 503, 429},
      {Reason::kDeadlineUnmeetable, 503, 429},
      {Reason::kNoReadyReplica, 503, 424},
      {Reason::kUpstreamTimeout, 504, 408},
      {Reason::kUpstreamConnectFailed, 502, 424},
      {Reason::kUpstreamReset, 502, 424},
      {Reason::kUpstreamInvalidResponse, 502, 424},
      {Reason::kDraining, 503, 503},
      {Reason::kClientClosed, 499, 499},
      {Reason::kInternal, 500, 500},
      {Reason::kLoop, 508, 508},
      {Reason::kFleetUncovered, 503, 503},
      {Reason::kHomeMoved, 421, 421},
      {Reason::kWaking, 503, 424},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(status_of(row.reason, StatusProfile::kKubernetes), row.kubernetes) << name_of(row.reason);
    EXPECT_EQ(status_of(row.reason, StatusProfile::kManaged), row.managed) << name_of(row.reason);
  }
}

/// The answer that the client receives.
struct Seen final : test::QuietDownstream {
  void begin_head(int code, std::string_view) override { status = code; }
  void field(std::string_view name, std::string_view value) override { fields[std::string(name)] = value; }
  void end_head(stream::BodySize size) override { length = size.length; }
  void body_piece(std::string_view bytes) override { body.append(bytes); }
  void body_end(const http::Fields*) override { ended = true; }
  void leave(stream::Leaving how) override { closes = how == stream::Leaving::kClose; }
  stream::Progress drop_request() override {
    dropped_before_the_head = status == 0;
    return stream::Progress::kEnded;
  }
  int status = 0;
  std::map<std::string, std::string> fields;
  std::uint64_t length = 0;
  std::string body;
  bool ended = false;
  bool closes = false;
  bool dropped_before_the_head = false;
};

constexpr std::initializer_list<Reason> kAll{Reason::kBadRequest,         Reason::kBadExpectation,
                                             Reason::kUnsupportedCoding,  Reason::kUnsupportedVersion,
                                             Reason::kUnsupportedMethod,  Reason::kLoop,
                                             Reason::kUnauthorized,       Reason::kForbidden,
                                             Reason::kEndpointNotFound,   Reason::kDeploymentNotFound,
                                             Reason::kPayloadTooLarge,    Reason::kHeadersTooLarge,
                                             Reason::kTargetTooLong,      Reason::kClientTimeout,
                                             Reason::kTooManyConnections, Reason::kQueueFull,
                                             Reason::kQueueTimeout,       Reason::kDeadlineUnmeetable,
                                             Reason::kNoReadyReplica,     Reason::kWaking,
                                             Reason::kUpstreamTimeout,    Reason::kUpstreamConnectFailed,
                                             Reason::kUpstreamReset,      Reason::kUpstreamInvalidResponse,
                                             Reason::kDraining,           Reason::kFleetUncovered,
                                             Reason::kHomeMoved,          Reason::kInternal};

Seen answer_to(Reason reason, StatusProfile profile = StatusProfile::kKubernetes, http::Method method = http::Method::kPost) {
  Seen seen;
  seen.asked().method = method;
  LocalReply reply;
  reply.reason = reason;
  reply.profile = profile;
  reply.message = "why";
  reply.request_id = "an-id";
  EXPECT_EQ(write_local_reply(seen, reply), seen.status);
  return seen;
}

TEST(LocalReply, CarriesItsReasonIdsAndABodyOfTheLengthThatItSays) {
  for (const Reason reason : kAll) {
    const Seen seen = answer_to(reason);
    EXPECT_EQ(seen.fields.at("x-router-reason"), name_of(reason));
    EXPECT_EQ(seen.fields.at("x-request-id"), "an-id");
    EXPECT_EQ(seen.fields.at("x-ms-request-id"), "an-id");
    EXPECT_EQ(seen.fields.count("Date"), 1u);
    EXPECT_EQ(seen.body,
              "{\"error\":{\"code\":\"" + std::string(name_of(reason)) + "\",\"message\":\"why\",\"request_id\":\"an-id\"}}\n");
    EXPECT_EQ(seen.length, seen.body.size());
    EXPECT_TRUE(seen.ended);
    EXPECT_TRUE(seen.dropped_before_the_head) << "the unread rest of the request decides whether the connection stays open";
  }
}

TEST(LocalReply, EndsTheConnectionWhereNobodyKnowsWhereTheNextRequestBegins) {
  for (const Reason reason : kAll) {
    const bool keeps = reason == Reason::kLoop || reason == Reason::kUnauthorized || reason == Reason::kForbidden ||
                       reason == Reason::kEndpointNotFound || reason == Reason::kDeploymentNotFound ||
                       reason == Reason::kPayloadTooLarge || reason == Reason::kQueueFull || reason == Reason::kQueueTimeout ||
                       reason == Reason::kDeadlineUnmeetable || reason == Reason::kNoReadyReplica ||
                       reason == Reason::kUpstreamTimeout || reason == Reason::kUpstreamConnectFailed ||
                       reason == Reason::kUpstreamReset || reason == Reason::kUpstreamInvalidResponse ||
                       reason == Reason::kWaking || reason == Reason::kFleetUncovered || reason == Reason::kHomeMoved;
    EXPECT_EQ(answer_to(reason).closes, !keeps) << name_of(reason);
  }
}

TEST(LocalReply, TellsWhenToTryAgainWhereThatMayHelp) {
  for (const Reason reason : kAll) {
    const bool helps = reason == Reason::kQueueFull || reason == Reason::kQueueTimeout ||
                       reason == Reason::kDeadlineUnmeetable || reason == Reason::kNoReadyReplica ||
                       reason == Reason::kWaking || reason == Reason::kFleetUncovered;
    EXPECT_EQ(answer_to(reason).fields.count("Retry-After") == 1, helps) << name_of(reason);
  }
}

TEST(LocalReply, NamesWhatAzureNames) {
  const auto named = [](Reason reason, StatusProfile profile = StatusProfile::kManaged) {
    const Seen seen = answer_to(reason, profile);
    const auto found = seen.fields.find("ms-azureml-model-error-reason");
    return found == seen.fields.end() ? "" : found->second;
  };
  EXPECT_EQ(named(Reason::kQueueFull), "too_many_pending_request");
  EXPECT_EQ(named(Reason::kQueueTimeout), "too_many_pending_request");
  EXPECT_EQ(named(Reason::kDeadlineUnmeetable), "too_many_pending_request");
  EXPECT_EQ(named(Reason::kNoReadyReplica), "model_not_ready");
  EXPECT_EQ(named(Reason::kUpstreamReset), "model_error");
  EXPECT_EQ(named(Reason::kUnauthorized), "");
  EXPECT_EQ(named(Reason::kQueueFull, StatusProfile::kKubernetes), "");
}

TEST(LocalReply, SaysHowToAuthenticateAndWhichMethodsAreServed) {
  EXPECT_EQ(answer_to(Reason::kUnauthorized).fields.at("WWW-Authenticate"), "Bearer");
  EXPECT_EQ(answer_to(Reason::kUnsupportedMethod).fields.at("Allow"), kAllow);
  EXPECT_EQ(answer_to(Reason::kForbidden).fields.count("WWW-Authenticate"), 0u);
}

TEST(LocalReply, HasNoBodyForAHead) {
  const Seen seen = answer_to(Reason::kUnauthorized, StatusProfile::kKubernetes, http::Method::kHead);
  EXPECT_EQ(seen.body, "");
  EXPECT_GT(seen.length, 0u) << "Content-Length has the body's length";
  EXPECT_TRUE(seen.ended);
}

}  // namespace
}  // namespace router::proxy

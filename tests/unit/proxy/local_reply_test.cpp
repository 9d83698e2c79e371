#include "router/proxy/local_reply.h"

#include <gtest/gtest.h>

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
      {Reason::kBadRequest, 400, 400},         {Reason::kUnsupportedCoding, 501, 501},
      {Reason::kUnsupportedVersion, 505, 505}, {Reason::kUnsupportedMethod, 405, 405},
      {Reason::kUnauthorized, 401, 401},       {Reason::kForbidden, 403, 403},
      {Reason::kEndpointNotFound, 404, 404},   {Reason::kDeploymentNotFound, 404, 404},
      {Reason::kPayloadTooLarge, 413, 413},    {Reason::kHeadersTooLarge, 431, 431},
      {Reason::kClientTimeout, 408, 408},      {Reason::kTooManyConnections, 503, 503},
      {Reason::kQueueFull, 503, 429},          {Reason::kQueueTimeout, 503, 429},
      {Reason::kDeadlineUnmeetable, 503, 429}, {Reason::kNoReadyReplica, 503, 424},
      {Reason::kUpstreamTimeout, 504, 408},    {Reason::kUpstreamConnectFailed, 502, 424},
      {Reason::kUpstreamReset, 502, 424},      {Reason::kUpstreamInvalidResponse, 502, 424},
      {Reason::kDraining, 503, 503},           {Reason::kClientClosed, 499, 499},
      {Reason::kInternal, 500, 500},           {Reason::kLoop, 508, 508},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(status_of(row.reason, StatusProfile::kKubernetes), row.kubernetes) << name_of(row.reason);
    EXPECT_EQ(status_of(row.reason, StatusProfile::kManaged), row.managed) << name_of(row.reason);
  }
}

}  // namespace
}  // namespace router::proxy

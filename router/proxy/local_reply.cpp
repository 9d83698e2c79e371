#include "router/proxy/local_reply.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>

namespace router::proxy {
namespace {

std::string_view phrase_of(int status) {
  switch (status) {
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 424: return "Failed Dependency";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    case 508: return "Loop Detected";
    default: return "";
  }
}

/// Reasons after which the connection cannot be used again: the start of the next request is not known, or the router must not
/// wait for it.
bool closes_connection(Reason reason) {
  switch (reason) {
    case Reason::kBadRequest:
    case Reason::kBadExpectation:
    case Reason::kUnsupportedCoding:
    case Reason::kUnsupportedVersion:
    case Reason::kUnsupportedMethod:
    case Reason::kHeadersTooLarge:
    case Reason::kTargetTooLong:
    case Reason::kClientTimeout:
    case Reason::kTooManyConnections:
    case Reason::kDraining:
    case Reason::kInternal: return true;
    default: return false;
  }
}

/// The name that Azure ML uses in `ms-azureml-model-error-reason`; empty if it has none.
std::string_view managed_reason(Reason reason) {
  switch (reason) {
    case Reason::kQueueFull:
    case Reason::kQueueTimeout:
    case Reason::kDeadlineUnmeetable: return "too_many_pending_request";
    case Reason::kNoReadyReplica:
    case Reason::kWaking: return "model_not_ready";
    case Reason::kUpstreamConnectFailed:
    case Reason::kUpstreamReset:
    case Reason::kUpstreamInvalidResponse: return "model_error";
    default: return "";
  }
}

}  // namespace

bool asks_to_retry(Reason reason) {
  return reason == Reason::kQueueFull || reason == Reason::kQueueTimeout || reason == Reason::kDeadlineUnmeetable ||
         reason == Reason::kNoReadyReplica || reason == Reason::kWaking || reason == Reason::kFleetUncovered;
}

int status_of(Reason reason, config::StatusProfile profile) {
  const bool managed = profile == config::StatusProfile::kManaged;
  switch (reason) {  // no default: a new reason must choose its status to compile
    case Reason::kNone: return 200;
    case Reason::kBadRequest: return 400;
    case Reason::kBadExpectation: return 417;
    case Reason::kUnsupportedCoding: return 501;
    case Reason::kUnsupportedVersion: return 505;
    case Reason::kUnsupportedMethod: return 405;
    case Reason::kLoop: return 508;
    case Reason::kUnauthorized: return 401;
    case Reason::kForbidden: return 403;
    case Reason::kEndpointNotFound:
    case Reason::kDeploymentNotFound: return 404;
    case Reason::kPayloadTooLarge: return 413;
    case Reason::kHeadersTooLarge: return 431;
    case Reason::kTargetTooLong: return 414;
    case Reason::kClientTimeout: return 408;
    case Reason::kTooManyConnections: return 503;
    case Reason::kQueueFull:
    case Reason::kQueueTimeout:
    case Reason::kDeadlineUnmeetable: return managed ? 429 : 503;
    case Reason::kNoReadyReplica:
    case Reason::kWaking: return managed ? 424 : 503;
    case Reason::kUpstreamTimeout: return managed ? 408 : 504;
    case Reason::kUpstreamConnectFailed:
    case Reason::kUpstreamReset:
    case Reason::kUpstreamInvalidResponse: return managed ? 424 : 502;
    case Reason::kModelError: return 424;
    case Reason::kClientClosed: return 499;
    case Reason::kDraining:
    case Reason::kFleetUncovered: return 503;
    case Reason::kHomeMoved: return 421;
    case Reason::kInternal: return 500;
  }
  std::abort();
}

std::chrono::seconds retry_after(std::optional<Duration> expected_wait) {
  constexpr std::chrono::seconds kSoonest{1};
  constexpr std::chrono::seconds kLatest{60};
  if (!expected_wait) return kSoonest;
  return std::clamp(std::chrono::ceil<std::chrono::seconds>(*expected_wait), kSoonest, kLatest);
}

std::chrono::seconds retry_after(const dispatch::RequestQueue& queue, Reason reason) {
  constexpr std::chrono::seconds kSoonest{1};
  constexpr std::chrono::seconds kLatest{3600};
  const bool lacks_replica = reason == Reason::kWaking || reason == Reason::kNoReadyReplica;
  const std::optional<Duration> left = lacks_replica ? queue.start_left() : std::nullopt;
  if (left) return std::clamp(std::chrono::ceil<std::chrono::seconds>(*left), kSoonest, kLatest);
  return retry_after(queue.expected_wait());
}

bool lacks_capacity(Reason reason) {
  return reason == Reason::kQueueFull || reason == Reason::kQueueTimeout || reason == Reason::kDeadlineUnmeetable ||
         reason == Reason::kNoReadyReplica || reason == Reason::kWaking;
}

int write_local_reply(Downstream& downstream, const LocalReply& reply) {
  const int status = status_of(reply.reason, reply.profile);
  const std::string_view reason = name_of(reply.reason);
  if (closes_connection(reply.reason)) downstream.leave(stream::Leaving::kClose);
  downstream.drop_request();  // drops what has arrived: a shorter rest lets the connection continue sooner
  downstream.begin_head(status, phrase_of(status));
  downstream.field("Date", downstream.date());
  downstream.field("Content-Type", "application/json");
  downstream.field("x-router-reason", reason);
  downstream.field("x-request-id", reply.request_id);
  downstream.field("x-ms-request-id", reply.request_id);
  if (!reply.client_request_id.empty()) downstream.field("x-ms-client-request-id", reply.client_request_id);
  if (!reply.deployment.empty()) downstream.field("azureml-model-deployment", reply.deployment);
  if (reply.reason == Reason::kUnauthorized) downstream.field("WWW-Authenticate", "Bearer");
  if (status == 405) downstream.field("Allow", kAllow);
  if (asks_to_retry(reply.reason)) downstream.field("Retry-After", std::to_string(reply.retry_after.count()));
  if (reply.profile == config::StatusProfile::kManaged) {
    const std::string_view managed = managed_reason(reply.reason);
    if (!managed.empty()) downstream.field("ms-azureml-model-error-reason", managed);
  }
  // Nothing needs escaping: the message is a literal of the router, the id a UUID. Each piece outlives the flush.
  const std::array<std::string_view, 9> body{R"({"error":{"code":")",
                                             reason,
                                             R"(","message":")",
                                             reply.message,
                                             reply.detail.empty() ? "" : ": ",
                                             reply.detail,
                                             R"(","request_id":")",
                                             reply.request_id,
                                             "\"}}\n"};
  std::size_t size = 0;
  for (const std::string_view piece : body) size += piece.size();
  downstream.end_head({stream::BodySize::Kind::kLength, size});
  if (downstream.head().method != http::Method::kHead) {
    for (const std::string_view piece : body) downstream.body_piece(piece);
  }
  downstream.body_end(nullptr);
  return status;
}

}  // namespace router::proxy

#pragma once

#include <cstdint>
#include <string_view>

namespace router {

/// Why an exchange did not end with the pod's own response: the value of `x-router-reason`, of the metric label `reason` and of
/// the log field `ResponseCodeReason`. The whole product uses this one list (contract, section 4).
enum class Reason : std::uint8_t {
  kNone,  // the router passed the pod's response on
  kBadRequest,
  kBadExpectation,      // Expect has another value than 100-continue; named `bad_request`
  kUnsupportedCoding,   // unknown transfer coding; named `unsupported`
  kUnsupportedVersion,  // HTTP version; named `unsupported`
  kUnsupportedMethod,   // CONNECT, TRACE; named `unsupported`
  kLoop,                // the request has been through this router before
  kUnauthorized,
  kForbidden,
  kEndpointNotFound,
  kDeploymentNotFound,
  kPayloadTooLarge,
  kHeadersTooLarge,
  kTargetTooLong,  // named `headers_too_large`
  kClientTimeout,
  kTooManyConnections,
  kQueueFull,
  kQueueTimeout,
  kDeadlineUnmeetable,
  kNoReadyReplica,
  kWaking,  // a replica is being started, and no more requests are held for it
  kUpstreamTimeout,
  kUpstreamConnectFailed,
  kUpstreamReset,
  kUpstreamInvalidResponse,
  kModelError,  // status profile `managed`: the pod answered with a status other than 200
  kClientClosed,
  kDraining,
  kFleetUncovered,  // the router may not use slots of limited deployments: it has lost the other routers of its fleet
  kHomeMoved,       // never a client's: the request is sent on to the namespace's new home; named `internal`
  kInternal,
};
inline constexpr std::size_t kReasonCount = static_cast<std::size_t>(Reason::kInternal) + 1;

/// The name that clients, dashboards and logs see; empty for kNone.
constexpr std::string_view name_of(Reason reason) {
  switch (reason) {
    case Reason::kNone: return "";
    case Reason::kBadRequest:
    case Reason::kBadExpectation: return "bad_request";
    case Reason::kUnsupportedCoding:
    case Reason::kUnsupportedVersion:
    case Reason::kUnsupportedMethod: return "unsupported";
    case Reason::kLoop: return "loop";
    case Reason::kUnauthorized: return "unauthorized";
    case Reason::kForbidden: return "forbidden";
    case Reason::kEndpointNotFound: return "endpoint_not_found";
    case Reason::kDeploymentNotFound: return "deployment_not_found";
    case Reason::kPayloadTooLarge: return "payload_too_large";
    case Reason::kHeadersTooLarge:
    case Reason::kTargetTooLong: return "headers_too_large";
    case Reason::kClientTimeout: return "client_timeout";
    case Reason::kTooManyConnections: return "too_many_connections";
    case Reason::kQueueFull: return "queue_full";
    case Reason::kQueueTimeout: return "queue_timeout";
    case Reason::kDeadlineUnmeetable: return "deadline_unmeetable";
    case Reason::kNoReadyReplica: return "no_ready_replica";
    case Reason::kWaking: return "waking";
    case Reason::kUpstreamTimeout: return "upstream_timeout";
    case Reason::kUpstreamConnectFailed: return "upstream_connect_failed";
    case Reason::kUpstreamReset: return "upstream_reset";
    case Reason::kUpstreamInvalidResponse: return "upstream_invalid_response";
    case Reason::kModelError: return "model_error";
    case Reason::kClientClosed: return "client_closed";
    case Reason::kDraining: return "draining";
    case Reason::kFleetUncovered: return "fleet_uncovered";
    case Reason::kHomeMoved:
    case Reason::kInternal: return "internal";
  }
  return "internal";
}

/// Which side of the router a failure came from.
enum class Origin : std::uint8_t { kDownstream, kUpstream, kInternal };

/// An expected failure on the data path: a value, never an exception. `cause` is a string literal for the log. It contains no
/// secret and nothing that the peer sent.
struct Failure {
  Reason reason = Reason::kInternal;
  Origin origin = Origin::kInternal;
  const char* cause = "";
  int system_error = 0;  // errno, or 0

  static constexpr Failure downstream(Reason reason, const char* cause, int system_error = 0) {
    return {reason, Origin::kDownstream, cause, system_error};
  }
  static constexpr Failure upstream(Reason reason, const char* cause, int system_error = 0) {
    return {reason, Origin::kUpstream, cause, system_error};
  }
  static constexpr Failure internal(Reason reason, const char* cause, int system_error = 0) {
    return {reason, Origin::kInternal, cause, system_error};
  }
};

}  // namespace router

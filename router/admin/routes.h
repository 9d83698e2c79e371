#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "router/admin/operator_route.h"

/// The requests that operators may send (contract, section 10). The functions are called on the control thread.
namespace router::admin {

struct ObserveSources {
  std::function<Pieces()> metrics;                      // Prometheus text, version 0.0.4; each call begins a scrape
  std::function<std::vector<std::string>()> hanging;    // shards whose loops hang, a sentence each; empty: none
  std::function<std::vector<std::string>()> not_ready;  // why not, a sentence each; empty: ready
  /// JSON: what the autoscaler knows of `NAMESPACE/ENDPOINT/DEPLOYMENT`; nothing: it scales no such deployment.
  std::function<std::optional<std::string>(std::string_view name)> scaling;
};
/// GET /metrics, /healthz (200, or 503 with the shards whose loops hang), /readyz (200, or 503 with the reasons),
/// /scaling/NAMESPACE/ENDPOINT/DEPLOYMENT (for KEDA's trigger metrics-api).
std::vector<OperatorRoute> observe_routes(ObserveSources sources);

struct AdminActions {
  std::function<std::string()> status;  // JSON; no secrets
  std::function<void()> drain;          // starts the drain; later calls do nothing
  /// Reads the configuration again. Returns its generation, or the mistakes, a line each. kFailedPrecondition: it is valid,
  /// but cannot be applied now (409); kResourceExhausted: memory is short (503); any other: it is invalid (422).
  std::function<absl::StatusOr<std::uint64_t>()> reload;
  /// A member of the fleet, by its id or address, is off for good. kNotFound: there is no fleet, or no such member (404); any
  /// other mistake is the request's (400).
  std::function<absl::Status(const std::string& member)> forget;
};
/// GET /status, POST /drain, POST /reload, POST /fleet/forget?member=ID or with the id or address as body.
std::vector<OperatorRoute> admin_routes(AdminActions actions);

}  // namespace router::admin

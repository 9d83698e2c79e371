#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "config/config.h"
#include "router/base/text.h"
#include "router/base/time.h"
#include "router/dispatch/held_bytes.h"
#include "router/dispatch/namespace_home.h"
#include "router/dispatch/request_queue.h"
#include "router/metrics/registry.h"

/// The data types of routing. A RoutingTable is immutable: the control thread builds it and publishes it as a whole, and the
/// shards read it. What outlives a table (queues with their slots, metric cells) is owned by shared_ptr.
namespace router::model {

/// A model version behind an endpoint, with all that an exchange needs of it.
struct Deployment {
  std::string name;        // as configured
  std::string score_path;  // `scoring_route.path`
  bool https = false;      // on connections to the replicas
  Duration request_timeout{};
  Duration queue_wait_max{};
  Duration connect_timeout{};
  Duration stream_idle_timeout{};
  Duration upload_timeout{};
  Duration abort_wait{};
  Duration hold{};  // that a request may wait for a first replica, from its arrival; zero: the deployment is not scaled
  std::uint64_t request_bytes_max = 0;
  bool drain_on_abort = false;
  bool allow_encoded_slashes = false;
  std::shared_ptr<dispatch::RequestQueue> queue;
  std::shared_ptr<const dispatch::NamespaceHome> home;  // nullptr: no fleet
  std::shared_ptr<metrics::DeploymentMetrics> metrics;
  std::shared_ptr<dispatch::HeldBytes> held_bytes;  // of the process; nullptr: nothing is held
};

/// A name with keys and a traffic split.
struct Endpoint {
  std::string name;
  std::string namespace_name;  // of its resource; empty: a file
  config::AuthMode auth_mode = config::AuthMode::kKey;
  config::StatusProfile status_profile = config::StatusProfile::kKubernetes;
  bool forward_authorization = false;
  std::vector<std::string> hostnames;
  std::vector<config::Secret> keys;
  std::vector<std::unique_ptr<const Deployment>> deployments;
  struct Share {
    int up_to;  // cumulative percent
    const Deployment* deployment;
  };
  /// `mirror_traffic`: this percentage of the requests that the traffic split routes is copied to the deployment.
  struct Mirror {
    int percent = 0;
    const Deployment* deployment = nullptr;
  };
  Mirror mirror;
  std::vector<Share> traffic;  // deployments with a positive weight; the share above the last `up_to` belongs to deployments
                               // that do not exist
  std::shared_ptr<metrics::DeploymentMetrics> metrics;  // for exchanges without a deployment
};

/// One consistent snapshot of endpoints and deployments.
struct RoutingTable {
  /// Not an abseil map: if one finds no memory to grow, its destruction ends the process.
  using NameMap = std::unordered_map<std::string, const Endpoint*, TextHash, std::equal_to<>>;

  std::uint64_t generation = 0;
  bool complete = true;  // false: a source was not read yet, so an endpoint that is not here may exist
  std::vector<std::shared_ptr<const Endpoint>> endpoints;  // tables that differ in nothing here share them
  NameMap by_name;                                         // lower case
  NameMap by_host;                                         // lower case, without port
  std::shared_ptr<metrics::DeploymentMetrics> metrics;     // for exchanges without an endpoint
};

/// The destination of one exchange: the result of `routing::choose_deployment`. Views into the table and the request head.
struct Route {
  const Endpoint* endpoint = nullptr;
  const Deployment* deployment = nullptr;
  std::string_view path;  // the pod receives `path` + `path_rest` + query
  std::string_view path_rest;
  bool scores = false;                 // `path` is the deployment's scoring route
  const Deployment* mirror = nullptr;  // the request is also copied to this one; may be nullptr
};

enum class AuthType : std::uint8_t { kNone, kKey };

/// Evidence of authentication.
struct Caller {
  AuthType auth_type = AuthType::kNone;
  const char* identity = "";  // which key, never the key: `primary`, `secondary`
};

}  // namespace router::model

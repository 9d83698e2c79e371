#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "router/discovery/cluster.h"
#include "router/discovery/reconcile_result.h"
#include "router/discovery/scoring_uri.h"

/// What `status` of an OnlineEndpoint or OnlineDeployment is to say: computed, and compared with what the API server has.
/// Nothing is sent from here.
namespace router::discovery {

namespace condition {
inline constexpr std::string_view kAccepted = "Accepted";  // the newest version is in force
inline constexpr std::string_view kReady = "Ready";        // and requests are answered by a pod
inline constexpr std::string_view kAutoscaled = "Autoscaled";
}  // namespace condition

/// Reasons of the conditions Ready and Autoscaled; those of Accepted are the result's (reconcile_result.h).
namespace reason {
inline constexpr std::string_view kReady = "Ready";
inline constexpr std::string_view kNotAccepted = "NotAccepted";
inline constexpr std::string_view kNoKeys = "NoKeys";
inline constexpr std::string_view kNoTraffic = "NoTraffic";
inline constexpr std::string_view kNoReadyReplica = "NoReadyReplica";
inline constexpr std::string_view kNotYet = "NotYet";  // `scale_settings` are there, and have no effect
inline constexpr std::string_view kNotConfigured = "NotConfigured";
}  // namespace reason

struct Condition {
  std::string_view type;
  bool holds = false;
  std::string reason;
  std::string message;  // at most kMessageBytes
  bool operator==(const Condition&) const = default;
};
inline constexpr std::size_t kMessageBytes = 4096;

struct ResourceStatus {
  ReconcileResult::Kind kind = ReconcileResult::Kind::kEndpoint;
  ObjectKey key;
  std::string uid;
  std::int64_t generation = 0;
  std::vector<Condition> conditions;  // Accepted, Ready, Autoscaled
  std::string scoring_uri;            // endpoints
  std::string traffic;                // endpoints: `blue=90 green=10`
  std::size_t replicas_ready = 0;     // of an endpoint: all of its deployments
  std::size_t replicas_total = 0;

  const Condition& accepted() const { return conditions.front(); }
  bool operator==(const ResourceStatus&) const = default;
};

/// One for each result, in their order.
std::vector<ResourceStatus> make_statuses(const Cluster& cluster, const std::vector<ReconcileResult>& results,
                                          const PublicAddress& address);

/// `status` as it is to be written over `known`, which the API server has: a condition whose `status` stays keeps its
/// lastTransitionTime, else it is `now`; one that `known` has lost is looked for in `sent`, our own last. All of our fields are
/// in it, empty ones too, so that each of them is ours.
boost::json::object status_object(const ResourceStatus& status, const boost::json::object& known,
                                  const boost::json::object& sent, std::string_view now);
/// What `known` has of the fields and conditions of `wanted`, a result of status_object, in its order. Others' are left out.
boost::json::object part_of(const boost::json::object& known, const boost::json::object& wanted);
/// The condition of that type in a status that the API server has; nullptr: there is none.
const boost::json::object* find_condition(const boost::json::object& known, std::string_view type);

}  // namespace router::discovery

#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "router/discovery/cluster.h"
#include "router/discovery/reconcile_result.h"
#include "router/discovery/scoring_uri.h"

/// Computes the `status` of an OnlineEndpoint or OnlineDeployment and compares it with that of the API server. Sends nothing.
namespace router::discovery {

namespace condition {
inline constexpr std::string_view kAccepted = "Accepted";  // the newest version is in force
inline constexpr std::string_view kReady = "Ready";        // it is accepted and has ready replicas
inline constexpr std::string_view kAutoscaled = "Autoscaled";
}  // namespace condition

/// Further reasons of the conditions Ready and Autoscaled. Those of Accepted are in reconcile_result.h.
namespace reason {
inline constexpr std::string_view kReady = "Ready";
inline constexpr std::string_view kNotAccepted = "NotAccepted";
inline constexpr std::string_view kNoKeys = "NoKeys";
inline constexpr std::string_view kNoTraffic = "NoTraffic";
inline constexpr std::string_view kNoReadyReplica = "NoReadyReplica";
inline constexpr std::string_view kNotYet = "NotYet";  // nobody has decided anything about its `scale_settings` yet
inline constexpr std::string_view kNotConfigured = "NotConfigured";
}  // namespace reason

struct Condition {
  std::string_view type;
  bool holds = false;
  std::string reason;
  std::string message;      // at most kMessageBytes
  bool is_unknown = false;  // the status is Unknown, whatever `holds` says
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
  std::size_t replicas_ready = 0;     // of an endpoint: the sum of its deployments
  std::size_t replicas_total = 0;

  const Condition& accepted() const { return conditions.front(); }
  bool operator==(const ResourceStatus&) const = default;
};

/// The condition Autoscaled of OnlineDeployments, by namespace and name of the resource. Without a reason: nothing was decided
/// yet, and what the API server shows stays.
using AutoscaledConditions = std::map<ObjectKey, Condition>;

/// Makes one status for each result, in their order. A deployment whose `scale_settings` ask for scaling has the condition of
/// `autoscaled`, or NotYet. Its endpoint has that of the first such deployment that is not autoscaled, otherwise of the first.
std::vector<ResourceStatus> make_statuses(const Cluster& cluster, const std::vector<ReconcileResult>& results,
                                          const PublicAddress& address, const AutoscaledConditions& autoscaled = {});

/// The member `status` to write over `known`, the API server's. A condition whose `status` is unchanged keeps its
/// lastTransitionTime; otherwise the time is `now`. If `known` lacks a condition, the one in `sent`, our last write, is used.
/// The result contains all of our fields, also empty ones, so that the router owns each of them.
boost::json::object status_object(const ResourceStatus& status, const boost::json::object& known,
                                  const boost::json::object& sent, std::string_view now);
/// The fields and conditions of `known` that `wanted`, a result of status_object, has too, in the order of `wanted`.
boost::json::object part_of(const boost::json::object& known, const boost::json::object& wanted);
/// The condition of that type in the API server's status; nullptr: there is none.
const boost::json::object* find_condition(const boost::json::object& known, std::string_view type);

}  // namespace router::discovery

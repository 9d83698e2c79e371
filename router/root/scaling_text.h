#pragma once

#include <boost/json/object.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "router/discovery/event_writer.h"
#include "router/discovery/resource_status.h"
#include "router/serving/autoscaler.h"

/// What the autoscaler tells: people, Kubernetes and KEDA. Control thread.
namespace router::root {

/// For /status: the mode, the demand, and the last decisions if this router decides. Nothing: the deployment is not scaled.
std::optional<boost::json::object> scaling_status(serving::Autoscaler& autoscaler, const serving::DeploymentKey& key);

/// The answer of GET /scaling: `{"demand_slots": 4.3, "wanted_replicas": 5, "active": true}`. `name`:
/// NAMESPACE/ENDPOINT/DEPLOYMENT, letters of either case. Nothing: no such deployment is scaled.
std::optional<std::string> scaling_answer(serving::Autoscaler& autoscaler, std::string_view name);

/// The condition Autoscaled of a deployment that is scaled, without a reason if nothing was decided yet. Nothing: it is not
/// scaled.
std::optional<discovery::Condition> scaling_condition(const serving::Autoscaler& autoscaler, const serving::DeploymentKey& key);

/// The Event for what has happened.
discovery::ResourceEvent scaling_event(const serving::ScalingEvent& event);

}  // namespace router::root

#include "router/status.h"

#include <boost/json.hpp>

#ifndef ROUTER_VERSION
#define ROUTER_VERSION "unknown"
#endif

namespace router {
namespace {

namespace json = boost::json;

json::object describe(const LiveReplica& live, const dispatch::Line& line) {
  json::object replica;
  replica["name"] = live.replica->name();
  replica["address"] = live.replica->address().text();
  replica["ready"] = live.ready;
  replica["ejected"] = line.is_ejected(live.replica);
  return replica;
}

json::object describe(const config::Deployment& settings, const LiveDeployment& live) {
  const dispatch::Demand demand = live.line->demand();
  json::object deployment;
  deployment["name"] = settings.name;
  deployment["slots"] = demand.slots;
  deployment["slots_in_use"] = demand.slots_in_use;
  deployment["queue_length"] = demand.waiting;
  deployment["replicas_ready"] = demand.replicas_ready;
  deployment["replicas_ejected"] = demand.replicas_ejected;
  deployment["ejections"] = demand.ejections;
  json::array replicas;
  for (const auto& [key, replica] : live.replicas) replicas.push_back(describe(replica, *live.line));
  deployment["replicas"] = std::move(replicas);
  return deployment;
}

json::object describe(const config::Endpoint& settings, const LiveDeployments& live) {
  json::object endpoint;
  endpoint["name"] = settings.name;
  endpoint["status_profile"] = settings.status_profile == config::StatusProfile::kManaged ? "managed" : "kubernetes";
  endpoint["keys"] = settings.keys.size();
  json::array hostnames;
  for (const std::string& hostname : settings.hostnames) hostnames.emplace_back(hostname);
  endpoint["hostnames"] = std::move(hostnames);
  json::object traffic;
  for (const auto& [name, percent] : settings.traffic) traffic[name] = percent;
  endpoint["traffic"] = std::move(traffic);
  json::array deployments;
  for (const config::Deployment& deployment : settings.deployments) {
    deployments.push_back(describe(deployment, live.get(deployment_key(settings.name, deployment.name))));
  }
  endpoint["deployments"] = std::move(deployments);
  return endpoint;
}

}  // namespace

std::string status_json(const config::Config& config, const LiveDeployments& live, std::uint64_t generation, bool draining) {
  json::object status;
  status["version"] = ROUTER_VERSION;
  status["generation"] = generation;
  status["draining"] = draining;
  json::array endpoints;
  for (const config::Endpoint& endpoint : config.endpoints) endpoints.push_back(describe(endpoint, live));
  status["endpoints"] = std::move(endpoints);
  return json::serialize(status) + "\n";
}

}  // namespace router

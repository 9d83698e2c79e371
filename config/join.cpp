#include "config/join.h"

#include <map>

namespace router::config {
namespace {

std::string at(const Location& location) { return location.file + ":" + std::to_string(location.line); }

/// One endpoint with its deployments, by lower-case name.
struct Group {
  EndpointDocument document;
  std::map<std::string, std::size_t> by_name;  // -> index in endpoint.deployments
};
using Groups = std::map<std::string, Group>;

Groups group(std::vector<EndpointDocument>& endpoints, Findings& findings) {
  Groups groups;
  for (EndpointDocument& each : endpoints) {
    if (each.endpoint.name.empty()) continue;  // reported when it was read
    const auto [known, fresh] = groups.try_emplace(lower_case(each.endpoint.name));
    if (fresh) {
      known->second.document = std::move(each);
    } else {
      findings.mistake(each.name, "the endpoint " + shown(each.endpoint.name) + " is already described in " +
                                      at(known->second.document.name));
    }
  }
  return groups;
}

void add_deployment(Group& group, DeploymentDocument& document, std::map<std::string, Location>& locations,
                    Findings& findings) {
  Deployment& deployment = document.deployment;
  std::vector<Deployment>& all = group.document.endpoint.deployments;
  const std::string name = lower_case(deployment.name);
  const auto [location, fresh] = locations.emplace(lower_case(deployment.endpoint_name) + "/" + name, document.name);
  if (!fresh) {
    return findings.mistake(document.name, "the deployment " + shown(deployment.name) + " of the endpoint " +
                                               shown(deployment.endpoint_name) + " is already described in " +
                                               at(location->second));
  }
  if (deployment.replicas.empty()) {
    findings.warning({deployment.file, deployment.line, "router.replicas"},
                     "the deployment has no replicas, so its requests cannot be answered; an overlay may list them, too "
                     "(endpoints.NAME.deployments.NAME.replicas)");
  }
  group.by_name.emplace(name, all.size());
  all.push_back(std::move(deployment));
}

void add_deployments(Groups& groups, std::vector<DeploymentDocument>& deployments, bool complete, Findings& findings) {
  std::map<std::string, Location> locations;
  for (DeploymentDocument& each : deployments) {
    if (each.deployment.name.empty() || each.deployment.endpoint_name.empty()) continue;  // reported when it was read
    const auto found = groups.find(lower_case(each.deployment.endpoint_name));
    if (found != groups.end()) {
      add_deployment(found->second, each, locations, findings);
    } else if (complete) {
      findings.mistake(each.endpoint_name,
                       "no file of `endpoints` describes the endpoint " + shown(each.deployment.endpoint_name));
    }
  }
}

std::string names_of(const std::vector<Deployment>& deployments) {
  if (deployments.empty()) return "it has none";
  std::string names = "it has ";
  for (const Deployment& each : deployments) names += (&each == &deployments.front() ? "" : ", ") + each.name;
  return names;
}

/// Assigns the shares to the deployments' names, as the deployments spell them.
std::map<std::string, int> assign(const Group& group, const std::vector<Share>& shares, bool complete, Findings& findings) {
  std::map<std::string, int> assigned;
  const std::vector<Deployment>& deployments = group.document.endpoint.deployments;
  for (const Share& share : shares) {
    const auto found = group.by_name.find(lower_case(share.name));
    if (found != group.by_name.end()) {
      assigned.emplace(deployments[found->second].name, share.percent);
    } else if (complete) {
      findings.mistake(share.location, "the endpoint has no deployment of this name; " + names_of(deployments));
    }
  }
  return assigned;
}

void check_traffic(const EndpointDocument& document, Findings& findings) {
  for (const Share& share : document.traffic) {
    if (share.percent > 0) return;
  }
  if (document.endpoint.deployments.empty()) return;
  findings.warning(document.traffic_location,
                   "no deployment gets any: only requests with the header azureml-model-deployment are answered");
}

void check_auth_mode(const EndpointDocument& document, Findings& findings) {
  if (document.endpoint.auth_mode == AuthMode::kKey) return;
  findings.warning(document.auth_mode,
                   "tokens are not supported yet: the endpoint stays closed and answers every request with 401; use key");
}

void check_hostnames(const Groups& groups, Findings& findings) {
  std::map<std::string, Location> locations;
  for (const auto& [name, group] : groups) {
    for (std::size_t i = 0; i < group.document.hostnames.size(); ++i) {
      const std::string& hostname = group.document.endpoint.hostnames[i];
      const auto [location, fresh] = locations.emplace(hostname, group.document.hostnames[i]);
      if (!fresh)
        findings.mistake(group.document.hostnames[i], shown(hostname) + " is already declared in " + at(location->second));
    }
  }
}

}  // namespace

std::vector<Endpoint> join(std::vector<EndpointDocument> endpoints, std::vector<DeploymentDocument> deployments, bool complete,
                           Findings& findings) {
  Groups groups = group(endpoints, findings);
  add_deployments(groups, deployments, complete, findings);
  check_hostnames(groups, findings);
  std::vector<Endpoint> joined;
  for (auto& [name, group] : groups) {
    Endpoint& endpoint = group.document.endpoint;
    endpoint.traffic = assign(group, group.document.traffic, complete, findings);
    endpoint.mirror_traffic = assign(group, group.document.mirror_traffic, complete, findings);
    check_traffic(group.document, findings);
    check_auth_mode(group.document, findings);
    joined.push_back(std::move(endpoint));
  }
  return joined;
}

}  // namespace router::config

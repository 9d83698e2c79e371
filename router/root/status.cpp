#include "router/root/status.h"

#include <malloc.h>

#include <boost/json.hpp>
#include <chrono>
#include <cstddef>
#include <string_view>

#include "router/base/folder.h"
#include "router/root/scaling_text.h"
#include "router/serving/unnoticed_aborts.h"

#ifndef ROUTER_VERSION
#define ROUTER_VERSION "unknown"
#endif

namespace router::root {
namespace {

namespace json = boost::json;

json::object describe(const serving::LiveReplica& live, const dispatch::RequestQueue& queue) {
  json::object replica;
  replica["name"] = live.replica->name();
  replica["address"] = live.replica->address().text();
  replica["ready"] = live.ready;
  replica["terminating"] = live.terminating;
  const dispatch::Health::State state = queue.condition(live.replica).state;
  replica["ejected"] = state == dispatch::Health::State::kEjected;
  replica["refusing"] = state == dispatch::Health::State::kRefusing;
  if (!live.why.empty()) replica["why"] = live.why;
  replica["closes_silently"] = live.replica->habits()->closes(std::chrono::steady_clock::now());
  return replica;
}

json::object describe(const config::Deployment& settings, const serving::LiveDeployment& live,
                      const std::vector<discovery::FileReplicas::Missing>& missing) {
  const dispatch::Demand demand = live.queue->demand();
  json::object deployment;
  deployment["name"] = settings.name;
  if (!settings.namespace_name.empty()) deployment["namespace"] = settings.namespace_name;
  deployment["slots"] = demand.slots;
  deployment["slots_in_use"] = demand.slots_in_use;
  deployment["queue_length"] = demand.waiting;
  deployment["replicas_ready"] = demand.replicas_ready;
  deployment["replicas_ejected"] = demand.replicas_ejected;
  deployment["replicas_refusing"] = demand.replicas_refusing;
  deployment["ejections"] = demand.ejections;
  deployment["refusals"] = demand.refusals;
  if (const std::uint64_t unnoticed = live.metrics->aborts_unnoticed(); unnoticed > 0) {
    json::object aborts;
    aborts["unnoticed"] = unnoticed;
    aborts["hint"] = serving::UnnoticedAborts::kHint;
    deployment["aborts"] = std::move(aborts);
  }
  json::array replicas;
  for (const auto& [key, replica] : live.replicas) replicas.push_back(describe(replica, *live.queue));
  deployment["replicas"] = std::move(replicas);
  if (!missing.empty()) {
    json::array none;
    for (const discovery::FileReplicas::Missing& each : missing) none.push_back({{"name", each.name}, {"why", each.why}});
    deployment["replicas_missing"] = std::move(none);
  }
  return deployment;
}

json::object describe(const config::Endpoint& settings, const StatusSources& from) {
  json::object endpoint;
  endpoint["name"] = settings.name;
  if (!settings.namespace_name.empty()) endpoint["namespace"] = settings.namespace_name;
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
    const serving::DeploymentKey key = serving::deployment_key(deployment);
    const serving::LiveDeployment& known = from.live.get(key);
    json::object described = describe(deployment, known, from.live.missing(known));
    if (from.autoscaler != nullptr) {
      if (auto scaling = scaling_status(*from.autoscaler, key)) described["autoscaler"] = *std::move(scaling);
    }
    deployments.push_back(std::move(described));
  }
  endpoint["deployments"] = std::move(deployments);
  return endpoint;
}

json::object describe(const discovery::ReconcileResult& result) {
  const bool is_endpoint = result.kind == discovery::ReconcileResult::Kind::kEndpoint;
  json::object resource;
  resource["kind"] = is_endpoint ? "OnlineEndpoint" : "OnlineDeployment";
  resource["namespace"] = result.namespace_name;
  resource["name"] = result.name;
  resource["uid"] = result.uid;
  resource["generation"] = result.generation;
  resource["accepted"] = result.accepted;
  resource["served"] = result.served;
  resource["reason"] = result.reason;
  resource["message"] = result.message;
  if (!is_endpoint) {
    resource["replicas"] = result.replicas_total;
    resource["replicas_ready"] = result.replicas_ready;
  }
  return resource;
}

json::object describe(const serving::ClusterSource& cluster) {
  json::object kubernetes;
  kubernetes["age_seconds"] = std::chrono::duration<double>(cluster.age()).count();
  json::array resources;
  for (const discovery::ReconcileResult& each : cluster.results()) resources.push_back(describe(each));
  kubernetes["resources"] = std::move(resources);
  return kubernetes;
}

json::object describe(const fleet::MemberReport& report) {
  json::object member;
  member["id"] = report.member.id;
  member["address"] = report.member.address;
  member["state"] = report.proven_dead ? "dead" : fleet::name_of(report.member.state);
  member["protocols"] = json::array{report.member.protocols.min, report.member.protocols.max};
  member["self"] = report.self;
  if (report.self) return member;
  member["linked"] = report.linked;
  member["silent_seconds"] = std::chrono::duration<double>(report.silent).count();
  member["connections_told"] = report.busy;
  return member;
}

json::object describe(const serving::FleetService& service) {
  const fleet::Report& report = service.news().report;
  json::object fleet;
  fleet["id"] = report.own_id;
  fleet["state"] = report.state;
  fleet["ready"] = report.ready;
  if (!report.reason.empty()) fleet["reason"] = report.reason;
  fleet["epoch"] = report.epoch.number;
  fleet["epoch_writer"] = report.epoch.writer;
  fleet["covered"] = service.coverage().covers_now();
  if (const std::optional<double> left = service.covered_for()) fleet["covered_seconds"] = *left;
  json::object homes;
  for (const fleet::NamespaceAssignment& each : service.namespaces()) homes[each.name] = each.here ? report.own_id : each.home;
  fleet["homes"] = std::move(homes);
  fleet["takeovers"] = report.taking;
  fleet["slots_waiting_for_takeover"] = report.slots_waiting;
  fleet["connections_elsewhere"] = report.slots_busy_elsewhere;
  json::array members;
  for (const fleet::MemberReport& each : report.members) members.push_back(describe(each));
  fleet["members"] = std::move(members);
  fleet["unreachable"] = json::array(report.unreachable.begin(), report.unreachable.end());
  return fleet;
}

/// Shows whether the process grows. `heap_bytes` is the allocated memory, including blocks with their own mapping and memory
/// that threads keep for their next allocations. It is 0 under sanitizers, which have their own heap. `descriptors` does not
/// count the one used to count.
json::object describe_process() {
  const struct mallinfo2 heap = mallinfo2();
  std::size_t open = 0;
  list_folder("/proc/self/fd", [&open](std::string_view) { ++open; });
  json::object process;
  process["heap_bytes"] = heap.uordblks + heap.hblkhd;
  process["descriptors"] = open > 0 ? open - 1 : 0;
  return process;
}

}  // namespace

std::string status_json(const StatusSources& from) {
  json::object status;
  status["version"] = ROUTER_VERSION;
  status["generation"] = from.generation;
  status["draining"] = from.draining;
  status["process"] = describe_process();
  json::array endpoints;
  for (const config::Endpoint& endpoint : from.config.endpoints) endpoints.push_back(describe(endpoint, from));
  status["endpoints"] = std::move(endpoints);
  if (from.cluster != nullptr) status["kubernetes"] = describe(*from.cluster);
  if (from.fleet != nullptr) status["fleet"] = describe(*from.fleet);
  return json::serialize(status) + "\n";
}

}  // namespace router::root

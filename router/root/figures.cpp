#include "router/root/figures.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

namespace router::root {
namespace {

void add_replicas(const serving::LiveDeployment& live, std::vector<metrics::ReplicaFigures>& into) {
  for (const auto& [name, each] : live.replicas) {
    const upstream::Replica::Figures counted = each.replica->figures();
    metrics::ReplicaFigures& told = into.emplace_back();
    told.endpoint = live.endpoint;
    told.deployment = live.name;
    told.replica = each.replica->name();
    told.slots_in_use = live.queue->in_use(each.replica);
    told.requests = counted.requests;
    told.answers = counted.answers;
    told.first_byte_nanoseconds = counted.first_byte_nanoseconds;
  }
}

/// In a fleet only the home tells the slots of the pods, so that a sum over the routers has each slot once.
metrics::DeploymentFigures figures_of(const serving::LiveDeployment& live, bool serves_here) {
  const dispatch::Demand demand = live.queue->demand();
  metrics::DeploymentFigures deployment;
  deployment.endpoint = live.endpoint;
  deployment.deployment = live.name;
  deployment.queue_length = demand.waiting;
  deployment.slots_in_use = demand.slots_in_use;
  deployment.slots = serves_here ? demand.slots : 0;
  deployment.replicas_ready = demand.replicas_ready - demand.replicas_ejected - demand.replicas_refusing;
  deployment.replicas_ejected = demand.replicas_ejected;
  deployment.replicas_refusing = demand.replicas_refusing;
  deployment.held_requests = demand.waking;
  deployment.outages = {demand.ejections, demand.refusals};
  deployment.replicas_not_ready = demand.replicas - demand.replicas_ready;
  for (const auto& [name, replica] : live.replicas) deployment.replicas_terminating += replica.terminating ? 1 : 0;
  return deployment;
}

metrics::ScalingFigures scaling_figures(serving::Autoscaler& autoscaler, const serving::DeploymentKey& key,
                                        const scaling::Figures& known) {
  metrics::ScalingFigures figures;
  figures.demand_slots = scaling::demand_of(known).slots() / static_cast<double>(autoscaler.members());
  const serving::ScalingBook::Entry* entry = autoscaler.book().find(key);
  if (!autoscaler.leads() || entry->decisions.empty()) return figures;
  const serving::ScalingDecision& last = entry->decisions.back();
  metrics::ScalingDecided& decided = figures.decided.emplace();
  decided.busy = last.figures.load.busy;
  decided.waiting = last.figures.load.waiting;
  decided.held = last.figures.load.waking;
  decided.offered = scaling::demand_of(last.figures).offered;
  decided.wanted = static_cast<std::uint64_t>(last.decision.replicas);
  decided.current = static_cast<std::uint64_t>(last.figures.replicas);
  decided.pod_start_seconds = last.figures.pod_start.count();
  if (!entry->deployment.acts) {
    decided.limited_by = "Observe";
  } else if (!entry->refused.empty()) {
    decided.limited_by = scaling::name_of(entry->refused_as);
  } else if (scaling::limits(last.decision.reason)) {
    decided.limited_by = scaling::name_of(last.decision.reason);
  }
  return figures;
}

/// Adds the certificates of the view's listeners, each once: several listeners may use the same.
void add_certificates(const proxy::View& view, metrics::ProcessFigures& figures) {
  std::set<std::string> told;
  for (const auto& [id, listener] : view.listeners) {
    if (listener.tls.empty()) continue;
    for (const tls::CertificateInfo& certificate : listener.tls.front()->certificates()) {
      if (!told.insert(certificate.file).second) continue;
      figures.certificates.push_back({certificate.file, certificate.not_before.time_since_epoch().count(),
                                      certificate.not_after.time_since_epoch().count()});
    }
  }
}

}  // namespace

metrics::ProcessFigures process_figures(const FigureSources& from) {
  const config::Process& process = from.publication.config().process;
  metrics::ProcessFigures figures;
  if (process.per_replica) figures.per_replica = metrics::PerReplica{{}, process.per_replica_max};
  for (const auto& [key, live] : from.live.all()) {
    if (figures.per_replica) add_replicas(*live, figures.per_replica->present);
    figures.deployments.push_back(figures_of(*live, from.live.serves_here(live->settings)));
    if (from.autoscaler == nullptr) continue;
    if (const std::optional<scaling::Figures> known = from.autoscaler->demand(key)) {
      figures.deployments.back().scaling = scaling_figures(*from.autoscaler, key, *known);
    }
  }
  add_certificates(*from.views.newest(), figures);
  figures.certificates_refused = from.publication.refused_files().certificates.size();
  figures.authorities_refused = from.publication.refused_files().authorities.size();
  figures.generation = from.publication.generation();
  if (from.cluster != nullptr) figures.discovery_age = from.cluster->age();
  if (from.cluster != nullptr) figures.resources_refused = from.cluster->resources_refused();
  if (from.cluster != nullptr) figures.events_dropped = from.cluster->events_dropped();
  if (from.autoscaler != nullptr) figures.scaling_writes = from.autoscaler->writes();
  if (from.autoscaler != nullptr) figures.held_bytes = from.live.held_bytes()->bytes();
  figures.access_log_dropped = from.access_logs.dropped();
  figures.usage = from.usage;
  figures.version = ROUTER_VERSION;
  return figures;
}

metrics::FleetFigures fleet_figures(const serving::FleetService& fleet, metrics::Registry& registry, std::size_t shards) {
  const fleet::Report& report = fleet.news().report;
  metrics::FleetFigures figures;
  for (const char* state : {"joining", "serving", "leaving", "dead"}) figures.members[state] = 0;
  for (const fleet::MemberReport& each : report.members) {
    ++figures.members[each.proven_dead ? "dead" : std::string(fleet::name_of(each.member.state))];
  }
  figures.epoch = report.epoch.number;
  figures.covered = fleet.coverage().covers_now();
  figures.slots_waiting = report.slots_waiting;
  for (const auto& [address, time] : fleet.news().round_trips) figures.round_trips.emplace_back(address, time);
  for (std::size_t result = 0; result < metrics::kSentOnResultCount; ++result) {
    for (std::size_t index = 0; index < shards; ++index) {
      figures.sent_on[result] += registry.shard(index).sent_on[result].value();
    }
  }
  return figures;
}

}  // namespace router::root

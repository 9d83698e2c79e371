#include "router/serving/cluster_source.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <algorithm>
#include <new>
#include <set>
#include <utility>

#include "router/base/assert.h"
#include "router/base/log.h"
#include "router/discovery/pod_replicas.h"
#include "router/discovery/read_objects.h"
#include "router/discovery/resource_kinds.h"
#include "router/discovery/slice_replicas.h"
#include "router/kubernetes/json.h"
#include "router/runtime/contain.h"

namespace router::serving {
namespace {

using discovery::ClusterState;
using discovery::ObjectKey;
using discovery::ReconcileResult;
using kubernetes::GroupVersionResource;

const GroupVersionResource kSlices{"discovery.k8s.io", "v1", "endpointslices"};
const GroupVersionResource kPods{"", "v1", "pods"};
constexpr const char* kOfAService = "kubernetes.io/service-name";  // label: a slice without it belongs to no Service

/// Label selector: both labels are present, with any values.
std::string of_azureml() { return absl::StrCat(discovery::kEndpointLabel, ",", discovery::kDeploymentLabel); }

}  // namespace

absl::StatusOr<std::unique_ptr<ClusterSource>> ClusterSource::make(runtime::Shard& control, runtime::Resolver& resolver,
                                                                   const config::Kubernetes& settings, std::size_t shards,
                                                                   LiveDeployments& live,
                                                                   std::function<void()> resources_changed) {
  absl::StatusOr<kubernetes::ClusterConfig> cluster = kubernetes::read_cluster_config(settings);
  if (!cluster.ok()) return cluster.status();
  auto client = kubernetes::ApiClient::make(control, resolver, std::move(*cluster));
  if (!client.ok()) return client.status();
  return std::unique_ptr<ClusterSource>(
      new ClusterSource(control, std::move(*client), settings, shards, live, std::move(resources_changed)));
}

ClusterSource::ClusterSource(runtime::Shard& control, std::unique_ptr<kubernetes::ApiClient> client,
                             const config::Kubernetes& settings, std::size_t shards, LiveDeployments& live,
                             std::function<void()> resources_changed)
    : control_(control),
      settings_(settings),
      contexts_(shards),
      live_(live),
      resources_changed_(std::move(resources_changed)),
      client_(std::move(client)),
      following_(control, Follower::kMax + discovery::ClusterReporter::kTasks + discovery::OwnServiceNames::kTasks +
                              discovery::ScaleTargets::tasks(settings.namespaces.size())),
      state_([this] { look_soon(); }, 2 * settings.per_namespace.max_bytes),
      follower_(control, *client_, following_, state_),
      secrets_(follower_, state_) {}

ClusterSource::~ClusterSource() = default;

void ClusterSource::start(const config::Process& process) {
  std::vector<std::string> namespaces;
  namespaces.reserve(settings_.namespaces.size());
  for (const config::NamespaceRules& rules : settings_.namespaces) namespaces.push_back(rules.name);
  if (namespaces.empty()) namespaces.emplace_back();  // all of them
  for (const std::string& namespace_name : namespaces) {
    using Kind = ClusterState::Kind;
    for (const Kind kind : {Kind::kEndpoints, Kind::kDeployments, Kind::kSlices})
      kinds_.push_back(follow_kind(kind, namespace_name));
    if (settings_.adopt_azureml_pods || settings_.check_pod_addresses)
      pods_.push_back(follow_kind(Kind::kPods, namespace_name));
  }
  const std::string where = settings_.namespaces.empty() ? "all namespaces" : absl::StrJoin(namespaces, ", ");
  log::info(absl::StrCat("follows ", client_->name(), " in ", where));
  begin_to_report(process);
  const std::string& namespace_name = client_->namespace_name().empty() ? settings_.lease_namespace : client_->namespace_name();
  if (!settings_.service_name.empty() && !namespace_name.empty()) {
    own_service_ =
        std::make_unique<discovery::OwnServiceNames>(*client_, following_, namespace_name, settings_.service_name, [this] {
          pending_ = true;
          look_soon();
        });
  }
  look_soon();
}

void ClusterSource::begin_to_report(const config::Process& process) {
  discovery::ReporterOptions options = discovery::reporter_options(process, client_->namespace_name());
  if (options.election.lease_namespace.empty()) {
    return log::warning(
        "kubernetes: no status is written: `lease.namespace` is not given, and the credentials name no namespace");
  }
  const auto seen = [this]() -> std::optional<discovery::ClusterReporter::Seen> {
    if (!complete_) return std::nullopt;
    discovery::ClusterReporter::Seen all{state_.cluster(), results()};
    all.autoscaled = autoscaled(all.results);
    return all;
  };
  reporter_ = std::make_unique<discovery::ClusterReporter>(*client_, following_, std::move(options), seen);
}

discovery::AutoscaledConditions ClusterSource::autoscaled(const std::vector<discovery::ReconcileResult>& results) const {
  discovery::AutoscaledConditions conditions;
  if (!explain_) return conditions;
  for (const discovery::ReconcileResult& result : results) {
    if (result.kind != discovery::ReconcileResult::Kind::kDeployment) continue;
    if (auto told = explain_(deployment_key(result.namespace_name, result.endpoint, result.deployment))) {
      conditions.emplace(discovery::ObjectKey{result.namespace_name, result.name}, *std::move(told));
    }
  }
  return conditions;
}

void ClusterSource::tell(const DeploymentKey& key, discovery::ResourceEvent event) {
  if (!leads()) return;
  if (reporter_->would_drop()) return reporter_->note_dropped();
  for (const auto& [name, resource] : state_.cluster().deployments) {
    if (!resource.good) continue;
    const config::Deployment& settings = resource.good->deployment;
    if (deployment_key(name.namespace_name, settings.endpoint_name, settings.name) != key) continue;
    event.kind = discovery::ReconcileResult::Kind::kDeployment;
    event.key = name;
    event.uid = resource.uid;
    return reporter_->tell(std::move(event));
  }
}

std::set<DeploymentKey> ClusterSource::told(std::string_view condition, std::string_view reason) const {
  std::set<DeploymentKey> keys;
  for (const auto& [name, resource] : state_.cluster().deployments) {
    if (!resource.good) continue;
    const boost::json::object* found = discovery::find_condition(resource.status, condition);
    if (found == nullptr || kubernetes::text_in(*found, "reason") != reason) continue;
    const config::Deployment& settings = resource.good->deployment;
    keys.insert(deployment_key(name.namespace_name, settings.endpoint_name, settings.name));
  }
  return keys;
}

std::unique_ptr<discovery::ScaleTargets> ClusterSource::make_targets(discovery::ScaleTargetsOptions options) {
  for (const config::NamespaceRules& each : settings_.namespaces) options.namespaces.push_back(each.name);
  return std::make_unique<discovery::ScaleTargets>(*client_, following_, std::move(options));
}

void ClusterSource::stop() {
  stopping_ = true;
  reporter_.reset();
  own_service_.reset();
  kinds_.clear();
  pods_.clear();
  secrets_.clear();
}

Followed ClusterSource::follow_kind(ClusterState::Kind kind, const std::string& namespace_name) {
  using Kind = ClusterState::Kind;
  switch (kind) {
    case Kind::kEndpoints: return follower_.follow({kind, namespace_name, ""}, discovery::kOnlineEndpoints, "");
    case Kind::kDeployments: return follower_.follow({kind, namespace_name, ""}, discovery::kOnlineDeployments, "");
    case Kind::kSlices: return follower_.follow({kind, namespace_name, ""}, kSlices, kOfAService);
    case Kind::kPods:
      return follower_.follow({kind, namespace_name, ""}, kPods, settings_.check_pod_addresses ? "" : of_azureml());
    case Kind::kSecrets: break;  // FollowedSecrets follows them
  }
  ROUTER_ASSERT(kind != Kind::kSecrets);
  return {};
}

void ClusterSource::list_dropped_again() {
  if (looked_ < list_again_due_) return look_at(list_again_due_);
  if (!state_.take_room()) return;
  list_again_due_ = looked_ + kListAgainPause;
  for (Followed& each : kinds_) {
    if (each.kind == ClusterState::Kind::kSlices) continue;
    const ClusterState::Kind kind = each.kind;
    const std::string namespace_name = each.namespace_name;
    each.reflector.reset();  // before its watcher, to which it passes objects
    each = follow_kind(kind, namespace_name);
  }
}

void ClusterSource::look_soon() { look_at(std::max(control_.now(), looked_ + kPause)); }

void ClusterSource::look_at(TimePoint when) {
  next_look_ = std::min(next_look_, when);
  control_.schedule(tick_, next_look_);
}

void ClusterSource::Tick::expired() {
  owner_.control_.schedule(*this, kNever);  // stays in the queue of timers, so that the next look needs no memory
  owner_.next_look_ = kNever;
  try {
    owner_.look();
  } catch (const std::bad_alloc&) {
    owner_.pending_ = true;
    owner_.look_at(owner_.control_.now() + kMemoryPause);
    log::error("memory is short: changes of the API server are applied later");
  }
}

void ClusterSource::look() {
  if (stopping_) return;
  looked_ = control_.now();
  const ClusterState::Changes changes = state_.take_changes();
  if (reporter_) reporter_->changed();
  pending_ = pending_ || changes.resources;
  if (!complete_ && !(kinds_listed() && pods_listed())) return look_at(looked_ + kListsPause);
  const bool other_refusals = update_replicas(by_service_, with_services_of(changes));
  const bool others_of_pods = update_replicas(by_labels_, changes.pods);
  if (other_refusals || others_of_pods) {  // once for all, since it covers every resource
    ReconcileLog::News news = reconcile_log_.prepare(results());
    reconcile_log_.write(news);
  }
  if (complete_) list_dropped_again();
  const FollowedSecrets::State secrets = secrets_.look(looked_);
  pending_ = pending_ || secrets.follows_anew;
  if (!secrets.all_well) look_at(looked_ + kListsPause);
  if (!pending_) return;
  // The wait starts with the first pending change. Later ones do not prolong it, so new Secrets cannot delay all changes.
  if (!wait_until_) wait_until_ = looked_ + (complete_ ? Duration(kSecretsWait) : Duration(kFirstSecretsWait));
  add_own_names(taken_, certified_);
  secrets_.follow(discovery::join_cluster(state_.cluster(), settings_, client_->namespace_name(), taken_), looked_,
                  kinds_.size() + pods_.size());
  const bool waits = !secrets_.listed() || (!complete_ && !own_names_known());
  if (waits && looked_ < *wait_until_) return look_at(*wait_until_);
  pending_ = false;
  wait_until_.reset();
  complete_ = true;
  resources_changed_();
}

bool ClusterSource::kinds_listed() const {
  std::set<std::string> forbidden;
  for (const Followed& each : kinds_) {
    if (each.reflector->listed()) continue;
    if (!each.reflector->forbidden()) return false;
    forbidden.insert(each.namespace_name);
  }
  return std::any_of(kinds_.begin(), kinds_.end(),
                     [&](const Followed& each) { return !forbidden.contains(each.namespace_name); });
}

bool ClusterSource::pods_listed() const {
  return std::all_of(pods_.begin(), pods_.end(),
                     [](const Followed& each) { return each.reflector->listed() || each.reflector->forbidden(); });
}

bool ClusterSource::pods_forbidden(const std::string& namespace_name) const {
  return std::any_of(pods_.begin(), pods_.end(), [&](const Followed& each) {
    const bool covers = each.namespace_name.empty() || each.namespace_name == namespace_name;
    return covers && !each.reflector->listed() && each.reflector->forbidden();
  });
}

ClusterSource::Change ClusterSource::prepare(const std::vector<config::Endpoint>& files, const OwnIdentity& own) {
  Change change;
  change.taken_ = discovery::names_of(files);
  change.certified_ = own.certified;
  add_own_names(change.taken_, change.certified_);
  if (!complete_) return change;
  change.joined_ = discovery::join_cluster(state_.cluster(), settings_, client_->namespace_name(), change.taken_);
  load_transports(change);
  index_deployments(change);
  // The interfaces, and the addresses of the API server's name, may have changed since the last time.
  change.avoided_.own = discovery::OwnAddresses(own.addresses->listeners(), discovery::OwnAddresses::read_local_ips());
  for (const runtime::Address& each : client_->addresses()) change.avoided_.api_server.insert(each.unmapped().ip());
  for (const config::Endpoint& endpoint : change.joined_.endpoints) {
    for (const config::Deployment& deployment : endpoint.deployments) {
      change.replicas_[deployment_key(deployment)] = look_for_replicas(deployment, change.avoided_);
    }
  }
  change.results_ = reconcile_log_.prepare(results_of(change.joined_, change.replicas_));
  return change;
}

void ClusterSource::apply(Change& change) noexcept {
  std::swap(taken_, change.taken_);
  certified_.swap(change.certified_);
  if (!complete_) return;
  std::swap(joined_, change.joined_);
  std::swap(by_service_, change.by_service_);  // they point into joined_
  std::swap(by_labels_, change.by_labels_);
  std::swap(avoided_, change.avoided_);
  replicas_.swap(change.replicas_);
  known_transports_.swap(change.known_transports_);
  runtime::insist([this] { secrets_.follow(joined_, looked_, kinds_.size() + pods_.size()); });  // files may claim other names
  reconcile_log_.write(change.results_);
  if (reporter_) reporter_->changed();
}

std::map<DeploymentKey, std::vector<discovery::FoundReplica>> ClusterSource::Change::replicas() const {
  std::map<DeploymentKey, std::vector<discovery::FoundReplica>> replicas;
  for (const auto& [key, found] : replicas_) replicas[key] = found.replicas;
  return replicas;
}

Transports ClusterSource::Change::transports() const {
  Transports transports;
  for (const auto& [key, known] : known_transports_) transports[key] = known.transport;
  return transports;
}

void ClusterSource::load_transports(Change& change) {
  for (config::Endpoint& endpoint : change.joined_.endpoints) {
    std::erase_if(endpoint.deployments, [&](const config::Deployment& deployment) {
      if (!deployment.tls) return false;
      config::Findings findings;
      if (auto loaded = transport(deployment, findings)) {
        change.known_transports_[deployment_key(deployment)] = {deployment.tls->verify, deployment.tls->server_name,
                                                                std::move(loaded)};
        return false;
      }
      // Such a deployment is left out; the router never falls back to plaintext.
      endpoint.traffic.erase(deployment.name);
      endpoint.mirror_traffic.erase(deployment.name);
      for (ReconcileResult& result : change.joined_.results) {
        if (result.namespace_name != deployment.namespace_name || result.endpoint != endpoint.name ||
            result.deployment != deployment.name)
          continue;
        result.accepted = result.served = false;
        result.reason = discovery::reason::kInvalid;
        result.message = findings.brief();
      }
      return true;
    });
  }
}

std::shared_ptr<const upstream::Transport> ClusterSource::transport(const config::Deployment& deployment,
                                                                    config::Findings& findings) {
  const auto known = known_transports_.find(deployment_key(deployment));
  const bool is_same = known != known_transports_.end() && known->second.verify == deployment.tls->verify &&
                       known->second.server_name == deployment.tls->server_name;
  if (is_same) return known->second.transport;
  UnusableAuthorities refused;
  const Transports loaded = serving::load_transports({&deployment}, contexts_, findings, refused);
  return loaded.empty() ? nullptr : loaded.begin()->second;
}

void ClusterSource::add_own_names(discovery::TakenNames& taken, const std::set<std::string>& certified) const {
  taken.own = certified;
  if (own_service_) taken.own.insert(own_service_->hostnames().begin(), own_service_->hostnames().end());
}

void ClusterSource::index_deployments(Change& change) {
  for (const config::Endpoint& endpoint : change.joined_.endpoints) {
    for (const config::Deployment& each : endpoint.deployments) {
      if (each.adopt_azureml_pods) {
        change.by_labels_[discovery::label_key(each.namespace_name, each.endpoint_name, each.name)].push_back(&each);
      } else {
        change.by_service_[{each.namespace_name, each.service.name}].push_back(&each);
      }
    }
  }
}

discovery::FoundReplicas ClusterSource::look_for_replicas(const config::Deployment& deployment,
                                                          const discovery::Avoided& avoided) const {
  const bool adopts = deployment.adopt_azureml_pods;
  discovery::FoundReplicas found = adopts ? discovery::find_pod_replicas(state_.cluster(), settings_, avoided, deployment)
                                          : discovery::find_slice_replicas(state_.cluster(), settings_, avoided, deployment);
  if ((adopts || settings_.check_pod_addresses) && pods_forbidden(deployment.namespace_name)) {
    found.reason = discovery::reason::kPodsForbidden;
    found.refused = "the router may not read the pods of this namespace: allow it the verbs list and watch on pods";
  }
  return found;
}

std::set<ObjectKey> ClusterSource::with_services_of(const ClusterState::Changes& changes) const {
  std::set<ObjectKey> services = changes.services;
  if (!settings_.check_pod_addresses) return services;
  for (const std::string& namespace_name : changes.pod_namespaces) {
    for (auto each = by_service_.lower_bound({namespace_name, ""});
         each != by_service_.end() && each->first.namespace_name == namespace_name; ++each) {
      services.insert(each->first);
    }
  }
  return services;
}

bool ClusterSource::update_replicas(const Index& index, const std::set<ObjectKey>& changed) {
  bool other_refusals = false;
  for (const ObjectKey& key : changed) {
    const auto found = index.find(key);
    if (found == index.end()) continue;
    for (const config::Deployment* deployment : found->second) other_refusals |= update_replicas(*deployment);
  }
  return other_refusals;
}

bool ClusterSource::update_replicas(const config::Deployment& deployment) {
  const DeploymentKey key = deployment_key(deployment);
  discovery::FoundReplicas now = look_for_replicas(deployment, avoided_);
  discovery::FoundReplicas& known = replicas_[key];
  const bool other_refusals = now.refused != known.refused;
  if (now.replicas != known.replicas) live_.update_replicas(key, now.replicas);
  known = std::move(now);
  return other_refusals;
}

std::size_t ClusterSource::resources_refused() const {
  return static_cast<std::size_t>(std::count_if(joined_.results.begin(), joined_.results.end(),
                                                [](const ReconcileResult& result) { return !result.accepted; }));
}

std::vector<std::string> ClusterSource::not_ready() const {
  if (complete_) return {};
  std::vector<std::string> reasons;
  for (const std::string& kind : state_.not_listed()) reasons.push_back(kind + " is not listed yet");
  if (reasons.empty()) reasons.emplace_back("resources are not joined yet");
  return reasons;
}

Duration ClusterSource::age() const {
  TimePoint oldest = control_.now();
  for (const std::vector<Followed>* all : {&kinds_, &pods_}) {
    for (const Followed& each : *all) oldest = std::min(oldest, each.reflector->last_word().value_or(each.since));
  }
  return control_.now() - oldest;
}

}  // namespace router::serving

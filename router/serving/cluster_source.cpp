#include "router/serving/cluster_source.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <algorithm>
#include <new>
#include <set>
#include <utility>

#include "router/base/log.h"
#include "router/discovery/pod_replicas.h"
#include "router/discovery/read_objects.h"
#include "router/discovery/resource_kinds.h"
#include "router/discovery/slice_replicas.h"

namespace router::serving {
namespace {

using discovery::ClusterState;
using discovery::ObjectKey;
using discovery::ResourceVerdict;
using kubernetes::Resource;

const Resource kSlices{"discovery.k8s.io", "v1", "endpointslices"};
const Resource kPods{"", "v1", "pods"};
const Resource kSecrets{"", "v1", "secrets"};
constexpr const char* kOfAService = "kubernetes.io/service-name";  // label: others belong to nobody whom we know

/// Field selector: Helm's are large and many, and neither kind can hold keys.
constexpr const char* kNoSecretsOfOthers = "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token";

/// Label selector: both labels are there, whatever they say.
std::string of_azureml() { return absl::StrCat(discovery::kEndpointLabel, ",", discovery::kDeploymentLabel); }

std::string label_of(const ResourceVerdict& verdict) {
  return absl::StrCat(discovery::kind_name(verdict.kind), " ", verdict.home, "/", verdict.name);
}

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
      following_(control, kFollowedMax + discovery::ClusterReporter::kTasks + discovery::OwnServiceNames::kTasks),
      state_([this] { look_soon(); }, 2 * settings.per_namespace.max_bytes) {}

ClusterSource::~ClusterSource() = default;

void ClusterSource::start(const config::Process& process) {
  std::vector<std::string> homes;
  homes.reserve(settings_.namespaces.size());
  for (const config::NamespaceRules& rules : settings_.namespaces) homes.push_back(rules.name);
  if (homes.empty()) homes.emplace_back();  // all of them
  for (const std::string& home : homes) {
    using Kind = ClusterState::Kind;
    for (const Kind kind : {Kind::kEndpoints, Kind::kDeployments, Kind::kSlices}) kinds_.push_back(follow_kind(kind, home));
    if (settings_.adopt_azureml_pods || settings_.check_pod_addresses) pods_.push_back(follow_kind(Kind::kPods, home));
  }
  const std::string where = settings_.namespaces.empty() ? "all namespaces" : absl::StrJoin(homes, ", ");
  log::info(absl::StrCat("follows ", client_->name(), " in ", where));
  begin_to_report(process);
  const std::string& home = client_->home().empty() ? settings_.lease_namespace : client_->home();
  if (!settings_.service_name.empty() && !home.empty()) {
    own_service_ = std::make_unique<discovery::OwnServiceNames>(*client_, following_, home, settings_.service_name, [this] {
      pending_ = true;
      look_soon();
    });
  }
  look_soon();
}

void ClusterSource::begin_to_report(const config::Process& process) {
  discovery::ReporterOptions options = discovery::reporter_options(process, client_->home());
  if (options.election.lease_home.empty()) {
    return log::warning(
        "kubernetes: no status is written: `lease.namespace` is not given, and the credentials name no namespace");
  }
  const auto seen = [this]() -> std::optional<discovery::ClusterReporter::Seen> {
    if (!complete_) return std::nullopt;
    return discovery::ClusterReporter::Seen{state_.cluster(), verdicts()};
  };
  reporter_ = std::make_unique<discovery::ClusterReporter>(*client_, following_, std::move(options), seen);
}

void ClusterSource::stop() {
  stopping_ = true;
  reporter_.reset();
  own_service_.reset();
  kinds_.clear();
  pods_.clear();
  secrets_.clear();
  secrets_together_.clear();
}

ClusterSource::Followed ClusterSource::follow_kind(ClusterState::Kind kind, const std::string& home) {
  using Kind = ClusterState::Kind;
  switch (kind) {
    case Kind::kEndpoints: return follow({kind, home, ""}, discovery::kOnlineEndpoints, "");
    case Kind::kDeployments: return follow({kind, home, ""}, discovery::kOnlineDeployments, "");
    case Kind::kSlices: return follow({kind, home, ""}, kSlices, kOfAService);
    case Kind::kPods: return follow({kind, home, ""}, kPods, settings_.check_pod_addresses ? "" : of_azureml());
    case Kind::kSecrets: break;
  }
  return follow({Kind::kSecrets, home, ""}, kSecrets, "");
}

void ClusterSource::list_dropped_again() {
  if (looked_ < list_again_due_) return look_at(list_again_due_);
  if (!state_.take_room()) return;
  list_again_due_ = looked_ + kListAgainPause;
  for (Followed& each : kinds_) {
    if (each.kind == ClusterState::Kind::kSlices) continue;
    const ClusterState::Kind kind = each.kind;
    const std::string home = each.home;
    each.reflector.reset();  // before the watcher, which it feeds
    each = follow_kind(kind, home);
  }
}

ClusterSource::Followed ClusterSource::follow(ClusterState::Scope scope, Resource resource, const std::string& label_selector) {
  kubernetes::Selection selection;
  selection.resource = std::move(resource);
  selection.home = scope.home;
  selection.label_selector = label_selector;
  if (!scope.name.empty()) selection.field_selector = "metadata.name=" + scope.name;
  if (scope.names != nullptr) selection.field_selector = kNoSecretsOfOthers;
  Followed followed;
  followed.home = scope.home;
  followed.kind = scope.kind;
  followed.since = control_.now();
  followed.watcher = state_.watcher(std::move(scope));
  followed.reflector = std::make_unique<kubernetes::Reflector>(*client_, following_, std::move(selection), *followed.watcher);
  return followed;
}

void ClusterSource::look_soon() { look_at(std::max(control_.now(), looked_ + kPause)); }

void ClusterSource::look_at(TimePoint when) {
  next_look_ = std::min(next_look_, when);
  control_.schedule(tick_, next_look_);
}

void ClusterSource::Tick::expired() {
  owner_.control_.schedule(*this, kNever);  // keeps its place in the queue: the next look must not fail for want of it
  owner_.next_look_ = kNever;
  try {
    owner_.look();
  } catch (const std::bad_alloc&) {
    owner_.pending_ = true;
    owner_.look_at(owner_.control_.now() + kMemoryPause);
    log::error("memory is short: what has changed on the API server is taken up later");
  }
}

void ClusterSource::look() {
  if (stopping_) return;
  looked_ = control_.now();
  const ClusterState::Changes changes = state_.take_changes();
  if (reporter_) reporter_->changed();
  pending_ = pending_ || changes.resources;
  if (!complete_ && !(kinds_listed() && pods_listed())) return look_at(looked_ + kListsPause);
  const bool other_refusals = tell_replicas(by_service_, with_services_of(changes));
  const bool others_of_pods = tell_replicas(by_labels_, changes.pods);
  if (other_refusals || others_of_pods) tell_verdicts();  // once for all of them: it looks at every resource
  if (complete_) list_dropped_again();
  look_after_secrets();
  if (!pending_) return;
  // From the first change that waits on, however many Secrets are named meanwhile: else who names ever new ones holds up all.
  if (!wait_until_) wait_until_ = looked_ + (complete_ ? Duration(kSecretsWait) : Duration(kFirstSecretsWait));
  look_for_own_names();
  follow_secrets(discovery::join_cluster(state_.cluster(), settings_, client_->home(), taken_));
  const bool waits = !secrets_listed() || (!complete_ && !own_names_known());
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
    forbidden.insert(each.home);
  }
  return std::any_of(kinds_.begin(), kinds_.end(), [&](const Followed& each) { return !forbidden.contains(each.home); });
}

bool ClusterSource::pods_listed() const {
  return std::all_of(pods_.begin(), pods_.end(),
                     [](const Followed& each) { return each.reflector->listed() || each.reflector->forbidden(); });
}

bool ClusterSource::pods_forbidden(const std::string& home) const {
  return std::any_of(pods_.begin(), pods_.end(), [&](const Followed& each) {
    const bool covers = each.home.empty() || each.home == home;
    return covers && !each.reflector->listed() && each.reflector->forbidden();
  });
}

bool ClusterSource::secrets_listed() const {
  const auto listed = [](const Followed& each) { return each.reflector->listed(); };
  return std::all_of(secrets_.begin(), secrets_.end(), [&](const auto& each) { return listed(each.second); }) &&
         std::all_of(secrets_together_.begin(), secrets_together_.end(),
                     [&](const auto& each) { return listed(each.second.followed); });
}

void ClusterSource::follow_secrets(const discovery::Joined& joined) {
  std::map<std::string, std::set<std::string>> wanted;
  for (const config::Endpoint& endpoint : joined.endpoints) {
    const bool has_one = endpoint.auth_mode == config::AuthMode::kKey && !endpoint.keys_secret.empty();
    if (has_one) wanted[endpoint.home].insert(endpoint.keys_secret);
  }
  forget_other_secrets(wanted);
  for (const auto& [home, names] : wanted) follow_secrets(home, names);
}

void ClusterSource::forget_other_secrets(const std::map<std::string, std::set<std::string>>& wanted) {
  const auto is_wanted = [&wanted](const std::string& home, const std::string& name) {
    const auto names = wanted.find(home);
    return names != wanted.end() && names->second.contains(name);
  };
  for (auto each = secrets_.begin(); each != secrets_.end();) {
    const ObjectKey& key = each->first;
    const bool stays = is_wanted(key.home, key.name);
    if (!stays) state_.forget_secret(key);
    each = stays ? std::next(each) : secrets_.erase(each);
  }
  for (auto each = secrets_together_.begin(); each != secrets_together_.end();) {
    const std::string& home = each->first;
    std::erase_if(*each->second.names, [&](const std::string& name) {
      if (is_wanted(home, name)) return false;
      state_.forget_secret({home, name});
      return true;
    });
    each = each->second.names->empty() ? secrets_together_.erase(each) : std::next(each);
  }
}

void ClusterSource::follow_secrets(const std::string& home, const std::set<std::string>& wanted) {
  const auto together = secrets_together_.find(home);
  if (together != secrets_together_.end() && may_not_list(together->second)) {
    only_alone_until_[home] = looked_ + kTogetherAgain;
    secrets_together_.erase(together);
    return follow_secrets(home, wanted);
  }
  const std::set<std::string>* followed = together != secrets_together_.end() ? together->second.names.get() : nullptr;
  std::set<std::string> alone;
  for (const std::string& name : wanted) {
    if (followed == nullptr || !followed->contains(name)) alone.insert(name);
  }
  const auto only_alone = only_alone_until_.find(home);
  const bool may_list = only_alone == only_alone_until_.end() || only_alone->second < looked_;
  if (alone.size() > kSecretsAlone && may_list) return follow_together(home, wanted);
  for (const std::string& name : alone) {
    const ObjectKey key{home, name};
    if (secrets_.contains(key)) continue;
    if (kinds_.size() + pods_.size() + secrets_.size() + secrets_together_.size() >= kFollowedMax) {
      return log::error(absl::StrCat("more than ", kFollowedMax, " things to follow: the Secret ", home, "/", name, " is not"));
    }
    secrets_.emplace(key, follow({ClusterState::Kind::kSecrets, home, name}, kSecrets, ""));
  }
}

bool ClusterSource::may_not_list(SecretsOfHome& secrets) const {
  const kubernetes::Reflector& reflector = *secrets.followed.reflector;
  if (!reflector.forbidden()) {
    secrets.refused_since.reset();
    return false;
  }
  if (!secrets.refused_since) secrets.refused_since = looked_;
  return looked_ - *secrets.refused_since >= (reflector.listed() ? kRefusedLaterMax : kRefusedMax);
}

/// Nobody tells that a list was refused.
void ClusterSource::look_after_secrets() {
  bool all_well = true;
  for (auto& [home, secrets] : secrets_together_) {
    if (may_not_list(secrets)) pending_ = true;
    all_well = all_well && secrets.followed.reflector->listed() && !secrets.refused_since;
  }
  if (!all_well) look_at(looked_ + kListsPause);
}

/// What is known of each stays until the new watch has listed it.
void ClusterSource::follow_together(const std::string& home, const std::set<std::string>& wanted) {
  SecretsOfHome next;
  next.names = std::make_shared<std::set<std::string>>(wanted);
  secrets_together_.erase(home);  // first: two watchers must not tell of the same objects
  std::erase_if(secrets_, [&home](const auto& each) { return each.first.home == home; });
  next.followed = follow({ClusterState::Kind::kSecrets, home, "", next.names}, kSecrets, "");
  secrets_together_.emplace(home, std::move(next));
}

void ClusterSource::join(const std::vector<config::Endpoint>& files) {
  taken_ = discovery::names_of(files);
  look_for_own_names();
  if (!complete_) return;
  try {
    join_again();
  } catch (const std::exception&) {  // memory is short
    by_service_.clear();             // they point into what was joined before
    by_labels_.clear();
    pending_ = true;
    look_soon();
    throw;
  }
}

void ClusterSource::join_again() {
  joined_ = discovery::join_cluster(state_.cluster(), settings_, client_->home(), taken_);
  follow_secrets(joined_);  // the names that files claim may have changed
  load_transports();
  index_deployments();
  look_for_avoided();
  replicas_.clear();
  for (const config::Endpoint& endpoint : joined_.endpoints) {
    for (const config::Deployment& deployment : endpoint.deployments) find_replicas(deployment);
  }
  tell_verdicts();
  if (reporter_) reporter_->changed();
}

void ClusterSource::load_transports() {
  transports_.clear();
  for (config::Endpoint& endpoint : joined_.endpoints) {
    std::erase_if(endpoint.deployments, [&](const config::Deployment& deployment) {
      if (!deployment.tls) return false;
      config::Findings findings;
      if (auto loaded = transport(deployment, findings)) {
        transports_[deployment_key(deployment)] = std::move(loaded);
        return false;
      }
      // It is never spoken to in plaintext instead.
      endpoint.traffic.erase(deployment.name);
      endpoint.mirror_traffic.erase(deployment.name);
      for (ResourceVerdict& verdict : joined_.verdicts) {
        if (verdict.home != deployment.home || verdict.endpoint != endpoint.name || verdict.deployment != deployment.name)
          continue;
        verdict.accepted = verdict.served = false;
        verdict.reason = discovery::reason::kInvalid;
        verdict.message = findings.brief();
      }
      return true;
    });
  }
  std::erase_if(known_transports_, [this](const auto& known) { return !transports_.contains(known.first); });
}

std::shared_ptr<const upstream::Transport> ClusterSource::transport(const config::Deployment& deployment,
                                                                    config::Findings& findings) {
  KnownTransport& known = known_transports_[deployment_key(deployment)];
  const bool same = known.verify == deployment.tls->verify && known.server_name == deployment.tls->server_name;
  if (known.transport != nullptr && same) return known.transport;
  LiveDeployments::Unusable refused;
  const LiveDeployments::Transports loaded = LiveDeployments::load_transports({&deployment}, contexts_, findings, refused);
  if (loaded.empty()) return nullptr;
  known = {deployment.tls->verify, deployment.tls->server_name, loaded.begin()->second};
  return known.transport;
}

void ClusterSource::look_for_own_names() {
  taken_.own = certified_;
  if (own_service_) taken_.own.insert(own_service_->hostnames().begin(), own_service_->hostnames().end());
}

void ClusterSource::look_for_avoided() {
  avoided_.own = discovery::OwnAddresses(own_->listeners(), discovery::OwnAddresses::read_local_ips());
  avoided_.api_server.clear();
  for (const runtime::Address& each : client_->addresses()) avoided_.api_server.insert(each.unmapped().ip());
}

void ClusterSource::index_deployments() {
  by_service_.clear();
  by_labels_.clear();
  for (const config::Endpoint& endpoint : joined_.endpoints) {
    for (const config::Deployment& each : endpoint.deployments) {
      if (each.adopt_azureml_pods) {
        by_labels_[discovery::label_key(each.home, each.endpoint_name, each.name)].push_back(&each);
      } else {
        by_service_[{each.home, each.service.name}].push_back(&each);
      }
    }
  }
}

discovery::FoundReplicas ClusterSource::look_for_replicas(const config::Deployment& deployment) const {
  const bool adopts = deployment.adopt_azureml_pods;
  discovery::FoundReplicas found = adopts ? discovery::find_pod_replicas(state_.cluster(), settings_, avoided_, deployment)
                                          : discovery::find_slice_replicas(state_.cluster(), settings_, avoided_, deployment);
  if ((adopts || settings_.check_pod_addresses) && pods_forbidden(deployment.home)) {
    found.reason = discovery::reason::kPodsForbidden;
    found.refused = "the router may not read the pods of this namespace: allow it the verbs list and watch on pods";
  }
  return found;
}

void ClusterSource::find_replicas(const config::Deployment& deployment) {
  const DeploymentKey key = deployment_key(deployment);
  discovery::FoundReplicas found = look_for_replicas(deployment);
  live_.prepare(key, found.replicas);
  replicas_.insert_or_assign(key, std::move(found));
}

std::set<ObjectKey> ClusterSource::with_services_of(const ClusterState::Changes& changes) const {
  std::set<ObjectKey> services = changes.services;
  if (!settings_.check_pod_addresses) return services;
  for (const std::string& home : changes.pod_homes) {
    for (auto each = by_service_.lower_bound({home, ""}); each != by_service_.end() && each->first.home == home; ++each) {
      services.insert(each->first);
    }
  }
  return services;
}

bool ClusterSource::tell_replicas(const Index& index, const std::set<ObjectKey>& changed) {
  bool other_refusals = false;
  for (const ObjectKey& key : changed) {
    const auto found = index.find(key);
    if (found == index.end()) continue;
    for (const config::Deployment* deployment : found->second) other_refusals |= tell_replicas(*deployment);
  }
  return other_refusals;
}

bool ClusterSource::tell_replicas(const config::Deployment& deployment) {
  const DeploymentKey key = deployment_key(deployment);
  const discovery::FoundReplicas before = std::exchange(replicas_[key], {});
  find_replicas(deployment);
  const discovery::FoundReplicas& now = replicas_.at(key);
  if (now.replicas != before.replicas) live_.tell(key, now.replicas);
  return now.refused != before.refused;
}

std::vector<ResourceVerdict> ClusterSource::verdicts() const {
  std::vector<ResourceVerdict> verdicts = joined_.verdicts;
  for (ResourceVerdict& verdict : verdicts) {
    if (verdict.kind != ResourceVerdict::Kind::kDeployment || !verdict.served) continue;
    const auto known = replicas_.find(deployment_key(verdict.home, verdict.endpoint, verdict.deployment));
    if (known == replicas_.end()) continue;
    for (const discovery::FoundReplica& replica : known->second.replicas) {
      verdict.replicas_total += replica.terminating ? 0 : 1;
      verdict.replicas_ready += replica.ready.value_or(false) ? 1 : 0;
    }
    if (verdict.reason != discovery::reason::kAccepted || known->second.refused.empty()) continue;
    verdict.reason = known->second.reason;
    verdict.message = known->second.refused;
  }
  return verdicts;
}

std::size_t ClusterSource::resources_refused() const {
  return static_cast<std::size_t>(std::count_if(joined_.verdicts.begin(), joined_.verdicts.end(),
                                                [](const ResourceVerdict& verdict) { return !verdict.accepted; }));
}

void ClusterSource::tell_verdicts() {
  std::map<std::string, std::string> next;
  for (const ResourceVerdict& verdict : verdicts()) {
    const bool plain = verdict.reason == discovery::reason::kAccepted;
    if (!plain) next[label_of(verdict)] = absl::StrCat(verdict.reason, ": ", verdict.message);
  }
  for (const auto& [label, text] : next) {
    if (const auto before = told_.find(label); before == told_.end() || before->second != text) {
      log::warning(absl::StrCat(label, ": ", text));
    }
  }
  told_ = std::move(next);
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

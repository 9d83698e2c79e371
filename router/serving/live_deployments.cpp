#include "router/serving/live_deployments.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <set>
#include <utility>

#include "router/base/host_port.h"
#include "router/base/log.h"
#include "router/runtime/contain.h"
#include "router/serving/condition_watcher.h"
#include "router/serving/replica_probe.h"
#include "router/serving/replica_trouble.h"

namespace router::serving {
namespace {

/// A replica with another identity, address or TLS setting is another replica.
std::string replica_key(const LiveDeployment& deployment, const discovery::FoundReplica& found) {
  std::string key = absl::StrCat(found.identity.empty() ? found.name : found.identity, "@", found.address.text());
  if (deployment.transport == nullptr) return key;
  const upstream::Transport& transport = *deployment.transport;
  return absl::StrCat(key, " tls ", transport.contexts.front()->trust(), " ", transport.server_name);
}

/// Deployments of a namespace that select the same Pod share its slots. A replica of a file is identified by its address and
/// port, whatever name leads there.
std::string pod_name(const LiveDeployment& deployment, const discovery::FoundReplica& found) {
  return deployment.settings.namespace_name + "/" + (found.identity.empty() ? found.address.text() : found.identity);
}

bool same_probe(const config::Deployment& a, const config::Deployment& b) {
  const config::Probe& p = a.readiness_probe;
  const config::Probe& q = b.readiness_probe;
  return a.readiness_route.port == b.readiness_route.port && a.readiness_route.path == b.readiness_route.path &&
         p.period == q.period && p.timeout == q.timeout && p.success_threshold == q.success_threshold &&
         p.failure_threshold == q.failure_threshold;
}

std::string label_of(const LiveDeployment& deployment) { return deployment.endpoint + "/" + deployment.name; }

std::string label_of(const LiveDeployment& deployment, const LiveReplica& live) {
  return absl::StrCat("replica ", live.replica->name(), " of ", label_of(deployment));
}

}  // namespace

LiveDeployments::LiveDeployments(runtime::Shard& control, runtime::ShardSet& shards, metrics::Registry& metrics,
                                 runtime::Resolver& resolver)
    : control_(control),
      shards_(shards),
      metrics_(metrics),
      probes_(control, kProbesMax),
      source_(control, resolver, [this](const DeploymentKey& key, const std::vector<discovery::FoundReplica>& found) {
        runtime::insist([&] { set_replicas(key, found); });
      }) {}

LiveDeployments::Change LiveDeployments::prepare(const config::Config& config, Sources sources, std::uint64_t generation) {
  Change change;
  change.told_ = std::move(sources.replicas);
  change.own_ = std::move(sources.own);
  change.generation = generation;
  std::set<DeploymentKey> configured;
  for (const config::Endpoint& endpoint : config.endpoints) {
    for (const config::Deployment& settings : endpoint.deployments) {
      const DeploymentKey key = deployment_key(settings);
      configured.insert(key);
      const auto transport = sources.transports.find(key);
      change.configured_.push_back({key, settings, transport == sources.transports.end() ? nullptr : transport->second});
      if (live_.contains(key)) continue;
      std::unique_ptr<LiveDeployment>& live = change.added_[key];
      if (live != nullptr) continue;
      live = std::make_unique<LiveDeployment>();
      live->endpoint = endpoint.name;
      live->name = settings.name;
      live->queue = make_queue(key);
      live->metrics = metrics_.deployment(endpoint.name, settings.name);
      live->offered_before = live->metrics->offered();
      live->made = generation;
    }
  }
  for (const auto& [key, live] : live_) {
    if (!configured.contains(key)) change.removed_.push_back(key);
  }
  return change;
}

void LiveDeployments::apply(Change& change) noexcept {
  generation_ = change.generation;
  if (change.own_) source_.avoid(std::move(change.own_));
  for (auto& [key, found] : change.told_) {
    if (const auto known = told_.find(key); known != told_.end()) known->second.swap(found);
  }
  told_.merge(change.told_);  // adds those of new keys
  live_.merge(change.added_);
  for (Change::Next& next : change.configured_) {
    LiveDeployment& live = *live_.find(next.key)->second;
    if (!same_probe(live.settings, next.settings)) {
      for (auto& [name, replica] : live.replicas) {  // `apply_settings` starts them with the new route and numbers
        replica.prober.reset();
        replica.readmission.reset();
      }
    }
    std::swap(live.settings, next.settings);
    live.transport = std::move(next.transport);
  }
  for (const Change::Next& next : change.configured_) {
    runtime::insist([&] { apply_settings(next.key, *live_.find(next.key)->second); });
  }
  tell_fleet();
}

void LiveDeployments::apply_settings(const DeploymentKey& key, LiveDeployment& live) {
  const config::Deployment& settings = live.settings;
  if (settings.namespace_name.empty()) live.queue->set_options(queue_options(settings, settings.replicas.size()));
  for (auto& [name, replica] : live.replicas) {
    live.queue->set_slots(replica.replica, settings.max_concurrent_requests_per_instance);
  }
  settings.namespace_name.empty() ? source_.set(key, settings) : set_replicas(key, told_[key]);
}

void LiveDeployments::remove_others(const Change& change) noexcept {
  for (const DeploymentKey& key : change.removed_) {
    source_.remove(key);
    told_.erase(key);
    const auto live = live_.find(key);
    runtime::insist([&] { live->second->queue->close(); });
    live_.erase(live);
  }
  tell_fleet();
}

void LiveDeployments::update_replicas(const DeploymentKey& key, std::vector<discovery::FoundReplica> found) {
  std::vector<discovery::FoundReplica>& told = told_[key];
  told = std::move(found);
  set_replicas(key, told);
}

void LiveDeployments::set_replicas(const DeploymentKey& key, const std::vector<discovery::FoundReplica>& found) {
  const auto entry = live_.find(key);
  if (entry == live_.end()) return;
  LiveDeployment& live = *entry->second;
  // All new objects are made first, since nothing can be undone after that.
  std::map<std::string, LiveReplica> made;
  std::set<std::string> names;
  std::vector<std::shared_ptr<dispatch::Replica>> members;
  std::vector<std::shared_ptr<upstream::Replica>> retired;
  for (const discovery::FoundReplica& each : found) {
    const std::string name = replica_key(live, each);
    names.insert(name);
    const auto known = live.replicas.find(name);
    LiveReplica& replica = known != live.replicas.end() ? known->second : made[name];
    if (replica.replica == nullptr) {
      replica.pod = pod_name(live, each);
      replica.replica = make_replica(live, each);
    }
    if (!each.terminating) members.push_back(replica.replica);
    if (each.terminating && !replica.terminating) retired.push_back(replica.replica);
  }
  for (const auto& [name, replica] : live.replicas) {
    if (!names.contains(name)) retired.push_back(replica.replica);
  }
  runtime::ShardSet::ForAll retirement = prepare_to_retire(std::move(retired));

  live.replicas.merge(made);
  runtime::insist([&] {
    live.queue->set_options(queue_options(live.settings, members.size()));
    live.queue->set_replicas(members);
  });
  std::erase_if(live.replicas, [&names](const auto& each) { return !names.contains(each.first); });
  for (const discovery::FoundReplica& each : found) {
    runtime::insist([&] { follow(live, live.replicas.at(replica_key(live, each)), each); });
  }
  runtime::insist([&] { update_trouble_soon(live); });
  retirement.send();
  tell_fleet();
}

std::shared_ptr<upstream::Replica> LiveDeployments::make_replica(const LiveDeployment& deployment,
                                                                 const discovery::FoundReplica& found) {
  std::shared_ptr<const upstream::Transport> transport = deployment.transport;
  if (transport != nullptr && transport->server_name.empty()) {
    // Each replica gets its own: a connection with one server name is not used for another name, even if both lead to one pod.
    auto named = std::make_shared<upstream::Transport>(*transport);
    named->server_name = found.host;
    transport = std::move(named);
  }
  return std::make_shared<upstream::Replica>(
      upstream::ReplicaOptions{.name = found.name,
                               .slots = deployment.settings.max_concurrent_requests_per_instance,
                               .host = found.host,
                               .address = found.address,
                               .transport = std::move(transport),
                               .pod = pod_of(pod_name(deployment, found)),
                               .shards = shards_.size(),
                               .generation = generation_});
}

std::shared_ptr<dispatch::PodSlots> LiveDeployments::pod_of(const std::string& name) {
  if (pods_.size() >= forget_pods_at_) {
    std::erase_if(pods_, [](const auto& each) { return each.second.expired(); });
    forget_pods_at_ = 2 * pods_.size() + kPodsMin;
  }
  std::weak_ptr<dispatch::PodSlots>& known = pods_[name];
  std::shared_ptr<dispatch::PodSlots> pod = known.lock();
  if (pod == nullptr) {
    known = pod = std::make_shared<dispatch::PodSlots>(shards_.size(), dispatch::PodSlots::Transport::kOneExchange,
                                                       fleet_ ? fleet_->membership : nullptr);
  }
  return pod;
}

std::shared_ptr<const dispatch::NamespaceHome> LiveDeployments::home(const config::Deployment& settings) const {
  if (!fleet_) return nullptr;
  const bool limited = settings.max_concurrent_requests_per_instance > 0;
  return limited ? fleet_->homes.get(settings.namespace_name)
                 : fleet_->homes.get_unlimited(deployment_key(settings), settings.namespace_name);
}

bool LiveDeployments::serves_here(const config::Deployment& settings) const {
  if (!fleet_) return true;
  if (settings.max_concurrent_requests_per_instance > 0) return fleet_->homes.here(settings.namespace_name);
  return fleet_->homes.where_unlimited(deployment_key(settings), settings.namespace_name) == dispatch::NamespaceHome::kHere;
}

void LiveDeployments::follow(LiveDeployment& deployment, LiveReplica& live, const discovery::FoundReplica& found) {
  if (found.terminating) {
    live.terminating = true;
    live.ready = false;
    live.prober.reset();
    live.readmission.reset();
    live.why = "terminating";
    return;
  }
  live.terminating = false;
  const bool asks_otherwise =
      live.target.other_family != found.other_family || live.target.prefers_other_family != found.prefers_other_family;
  live.target = probe_target(deployment, live, found);
  if (asks_otherwise) live.prober.reset();
  live.target.limit = probe_limit_;
  live.target.close_wait = deployment.settings.abort_wait;
  if (found.probe_address == found.address) live.target.slot = slot_of(live);
  if (!found.ready) {
    if (live.prober == nullptr) start_probe(deployment, live);
  } else {
    live.prober.reset();
  }
  if (live.readmission == nullptr) start_readmission(deployment, live);
  if (!found.ready) return;
  if (*found.ready) {
    live.why.clear();
    live.causes.recovered();
  } else if (live.ready) {  // `set_ready` logs it below
    live.causes.should_log(live.why = source_says_not_ready(deployment.settings), control_.now());
  } else {
    set_why(deployment, live, source_says_not_ready(deployment.settings));
  }
  if (live.ready != *found.ready) set_ready(deployment, live, *found.ready);
}

void LiveDeployments::probe_at_once(const std::set<std::string>& pods) {
  for (auto& [key, deployment] : live_) {
    for (auto& [name, replica] : deployment->replicas) {
      if (replica.prober != nullptr && !replica.ready && pods.contains(replica.pod)) start_probe(*deployment, replica);
    }
  }
}

void LiveDeployments::set_limited(const std::function<bool(const std::string& pod)>& limited) {
  for (auto& [key, deployment] : live_) {
    for (auto& [name, replica] : deployment->replicas) {
      const bool keeps = !limited(replica.pod);
      if (replica.terminating || replica.keeps_pools == keeps) continue;
      shards_.post_to_all([keeps, each = replica.replica](const runtime::Shard& shard) {
        keeps ? each->reopen_pool(shard.index()) : each->retire_pool(shard.index());
      });
      replica.keeps_pools = keeps;
    }
  }
}

std::function<discovery::ProbeSlotOffer(std::shared_ptr<dispatch::PreemptibleHolder>)> LiveDeployments::slot_of(
    const LiveReplica& live) const {
  return [pod = live.replica->pod(), shard = control_.index()](std::shared_ptr<dispatch::PreemptibleHolder> holder) {
    return take_slot(pod, shard, std::move(holder));
  };
}

void LiveDeployments::start_probe(LiveDeployment& deployment, LiveReplica& live) {
  live.prober = std::make_unique<discovery::ReplicaProber>(
      control_, probes_, live.target, [this, &deployment, &live](bool ready) { set_ready(deployment, live, ready); },
      [this, &deployment, &live](const discovery::ProbeAnswer& answer) {
        if (live.target.other_family && answer.readiness != discovery::Readiness::kNotAsked) {
          source_.probed(deployment_key(deployment.settings), live.replica->address(), answer.connected, answer.other_connects);
        }
        note(deployment, live, answer);
      });
}

/// Ends the idle connections in the pools of replicas without limit. The queue ends those in slots.
runtime::ShardSet::ForAll LiveDeployments::prepare_to_retire(std::vector<std::shared_ptr<upstream::Replica>> replicas) {
  if (replicas.empty()) return {};
  return shards_.prepare_for_all([replicas = std::move(replicas)](const runtime::Shard& shard) {
    for (const std::shared_ptr<upstream::Replica>& each : replicas) each->retire_pool(shard.index());
  });
}

std::shared_ptr<dispatch::RequestQueue> LiveDeployments::make_queue(const DeploymentKey& key) {
  // The queue calls the watcher on a shard; `look_after` runs on the control thread.
  auto watcher = std::make_shared<ConditionWatcher>(control_, [this, key] { look_after(key); });
  return std::make_shared<dispatch::RequestQueue>(dispatch::QueueOptions{}, control_.clock(), std::move(watcher));
}

void LiveDeployments::set_ready(LiveDeployment& deployment, LiveReplica& live, bool ready) {
  deployment.queue->set_ready(live.replica, ready);
  const bool has_reason = !ready && !live.why.empty();
  const bool was_logged = has_reason && !live.ready;  // by `set_why`, with the cause
  live.ready = ready;
  if (!was_logged) {
    log::write(log::Level::kInfo,
               {"replica ", live.replica->name(), " of ", deployment.endpoint, "/", deployment.name,
                ready ? " is ready" : " is not ready", has_reason ? ": " : "", has_reason ? live.why : std::string_view()});
  }
  look_after(deployment, live);  // an ejection may be over now
  update_trouble_soon(deployment);
}

void LiveDeployments::note(LiveDeployment& deployment, LiveReplica& live, const discovery::ProbeAnswer& answer) {
  if (!answer.ready()) return set_why(deployment, live, answer.why);
  if (live.why.empty()) return;
  live.why.clear();
  if (live.causes.recovered() && live.ready) log::info(label_of(deployment, live) + " answers its probes again");
}

void LiveDeployments::set_why(LiveDeployment& deployment, LiveReplica& live, std::string why) {
  if (live.causes.should_log(why, control_.now())) {
    // A failed probe of a replica that is not ready yet is no reason for a warning.
    log::write(live.ready ? log::Level::kWarning : log::Level::kInfo,
               {"replica ", live.replica->name(), " of ", deployment.endpoint, "/", deployment.name,
                live.ready ? ": a probe failed: " : " is not ready: ", why});
  }
  if (std::exchange(live.why, std::move(why)) != live.why) update_trouble_soon(deployment);
}

void LiveDeployments::update_trouble_soon(LiveDeployment& deployment) {
  if (!deployment.trouble_is_current) return;
  const DeploymentKey key = deployment_key(deployment.settings);
  control_.post([this, key, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    const auto live = live_.find(key);
    if (live == live_.end()) return;
    live->second->trouble_is_current = true;
    runtime::insist([&] { live->second->queue->set_trouble(trouble_of(*live->second, missing(*live->second))); });
  });
  deployment.trouble_is_current = false;
}

std::vector<discovery::FileReplicas::Missing> LiveDeployments::missing(const LiveDeployment& deployment) const {
  return source_.missing(deployment_key(deployment.settings));
}

void LiveDeployments::look_after(const DeploymentKey& key) {
  const auto entry = live_.find(key);
  if (entry == live_.end()) return;
  LiveDeployment& deployment = *entry->second;
  deployment.queue->begin_look();
  for (auto& [name, live] : deployment.replicas) look_after(deployment, live);
  if (deployment.queue->take_wake() && wake_) wake_(key);
}

void LiveDeployments::look_after(LiveDeployment& deployment, LiveReplica& live) {
  if (live.terminating) return;
  const dispatch::Condition before = std::exchange(live.condition, deployment.queue->condition(live.replica));
  if (live.condition == before) return;
  runtime::insist([&] { update_trouble_soon(deployment); });
  using State = dispatch::Health::State;
  if (live.condition.state == State::kWell) {
    live.readmission.reset();
  } else {
    runtime::insist([&] { start_readmission(deployment, live); });  // otherwise nothing would ever readmit it
  }
  const std::string label = label_of(deployment, live);
  switch (live.condition.state) {
    case State::kWell: log::info(absl::StrCat(label, " is chosen again")); break;
    case State::kEjected: {
      const auto seconds = std::chrono::ceil<std::chrono::seconds>(live.condition.asked_from - control_.now()).count();
      log::warning(
          absl::StrCat(label, " failed ", dispatch::Health::kFailuresMax, " times in a row: not chosen for ", seconds, " s"));
      break;
    }
    case State::kRefusing: log::warning(absl::StrCat(label, " refuses connections: not chosen until it accepts them")); break;
  }
}

void LiveDeployments::start_readmission(LiveDeployment& deployment, LiveReplica& live) {
  if (live.condition.state == dispatch::Health::State::kWell) return;
  discovery::ProbeTarget target = live.target;
  const discovery::ReturnTerms terms = return_terms(live);
  const bool any = terms.answer == discovery::ReturnTerms::Answer::kAny;
  if (any) target.address = live.replica->address();
  if (any || terms.accepts) target.slot = slot_of(live);
  live.readmission = std::make_unique<discovery::Readmission>(
      control_, probes_, std::move(target), terms,
      [this, &deployment, &live] {
        deployment.queue->readmit(live.replica);
        if (live.ready) live.why.clear();
        look_after(deployment, live);
      },
      [this, &deployment, &live](const discovery::ProbeAnswer& answer) { note(deployment, live, answer); });
}

/// If the source decides which replicas are ready (Kubernetes), the router knows no readiness route. A wrong route must not
/// keep a working replica out for ever: any answer readmits an ejected one, an accepted connection a refusing one.
discovery::ReturnTerms LiveDeployments::return_terms(const LiveReplica& live) const {
  using Answer = discovery::ReturnTerms::Answer;
  const bool source_decides = live.prober == nullptr;
  discovery::ReturnTerms terms;
  terms.from = live.condition.asked_from;
  if (live.condition.state == dispatch::Health::State::kRefusing) {
    terms.pause = dispatch::Health::kPauseFirst;
    terms.answer = source_decides ? Answer::kNone : Answer::kReady;
    if (source_decides || live.target.address != live.replica->address()) terms.accepts = live.replica->address();
  } else {
    terms.answer = source_decides ? Answer::kAny : Answer::kReady;
  }
  return terms;
}

void LiveDeployments::stop() {
  source_.stop();
  for (auto& [key, live] : live_) {
    for (auto& [name, replica] : live->replicas) {
      replica.prober.reset();
      replica.readmission.reset();
    }
    live->queue->set_replicas({});
    live->queue->close();
    live->replicas.clear();
  }
}

}  // namespace router::serving

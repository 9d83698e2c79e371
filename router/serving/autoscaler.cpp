#include "router/serving/autoscaler.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>

#include "router/base/log.h"
#include "router/scaling/figures_text.h"

namespace router::serving {
namespace {

using config::AutoscalerMode;
using discovery::ScaleObstacle;
using scaling::Hindrance;

/// The member of a router without a fleet.
const std::string kSelf = "self";

scaling::Settings settings_of(const config::Deployment& deployment) {
  const config::ScaleSettings& scale = *deployment.scale_settings;
  const std::size_t limit = deployment.max_concurrent_requests_per_instance;
  return {.min_instances = scale.min_instances,
          .max_instances = scale.max_instances,
          .target = scale.target_utilization_percentage / 100.0,
          .polling_interval = scale.polling_interval,
          .slots = static_cast<double>(limit > 0 ? limit : deployment.scaling.concurrency),
          .idle_time = deployment.scaling.idle_time};
}

bool is_scaled(const config::Deployment& deployment, AutoscalerMode mode) {
  return mode != AutoscalerMode::kOff && !deployment.namespace_name.empty() && deployment.scale_settings &&
         deployment.scale_settings->type == config::ScaleSettings::Type::kTargetUtilization;
}

discovery::ScaledDeployment target_of(const DeploymentKey& key, const config::Deployment& deployment) {
  discovery::ScaledDeployment target;
  target.key = key;
  target.namespace_name = deployment.namespace_name;
  target.endpoint = deployment.endpoint_name;
  target.deployment = deployment.name;
  target.target = deployment.scaling.target;
  if (target.target.name.empty()) {
    target.target.name = absl::AsciiStrToLower(absl::StrCat(deployment.endpoint_name, "-", deployment.name));
  }
  target.adopts_azureml_pods = deployment.adopt_azureml_pods;
  target.interval = std::max(deployment.scale_settings->polling_interval, discovery::ScaleTargets::kIntervalLeast);
  return target;
}

Hindrance hindrance_of(ScaleObstacle obstacle) {
  switch (obstacle) {
    case ScaleObstacle::kNone:
    case ScaleObstacle::kScaleForbidden:
    case ScaleObstacle::kServerAway: return Hindrance::kNone;  // writes are tried
    case ScaleObstacle::kManagedByAzureMl: return Hindrance::kManagedByAzureMl;
    case ScaleObstacle::kKindNotSupported:
    case ScaleObstacle::kTargetNotMarked: return Hindrance::kTargetNotMarked;
    case ScaleObstacle::kTargetForbidden: return Hindrance::kTargetForbidden;
    case ScaleObstacle::kTargetMissing: return Hindrance::kTargetNotFound;
    case ScaleObstacle::kTargetUnreadable: return Hindrance::kTargetUnknown;
    case ScaleObstacle::kConflictingAutoscaler: return Hindrance::kConflictingAutoscaler;
    case ScaleObstacle::kHpasUnreadable: return Hindrance::kHpasUnreadable;
  }
  return Hindrance::kTargetUnknown;
}

/// Whether requests may be held for a first replica: nobody else has decided that there shall be none.
bool may_hold(const ScalingBook::Entry& entry) {
  const ScalingDecision& decision = entry.decisions.back();
  return decision.figures.hindrance == Hindrance::kNone && scaling::holds(decision.decision.reason) == scaling::Holds::kTrue &&
         decision.decision.reason != scaling::Reason::kPaused && entry.refused_as != scaling::Reason::kTargetForbidden;
}

void log_decision(const DeploymentKey& key, const ScalingDecision& decision, std::string_view result) {
  // The message has nothing to escape but names of other managers, which are one line of plain text (discovery::short_line).
  log::info(absl::StrCat("scaling {\"deployment\":\"", key, "\",\"from\":", decision.figures.replicas,
                         ",\"to\":", decision.decision.replicas, ",\"reason\":\"",
                         std::string(scaling::name_of(decision.decision.reason)), "\",\"result\":\"", std::string(result),
                         "\",\"figures\":", scaling::figures_text(decision.figures), "} ", decision.message));
}

}  // namespace

Autoscaler::Autoscaler(Parts parts)
    : parts_(std::move(parts)), incarnation_(parts_.control.random() >> 1), begun_(parts_.control.now()) {
  if (parts_.fleet == nullptr) return;
  const auto hear = [this](std::string_view topic, auto handle) {
    parts_.fleet->hear(std::string(topic),
                       [this, handle](const std::string& member, fleet::Note note) { (this->*handle)(member, note); });
  };
  hear(scaling::kSignalsTopic, &Autoscaler::hear_signals);
  hear(scaling::kWakeTopic, &Autoscaler::hear_wake);
  hear(scaling::kStartsTopic, &Autoscaler::hear_starts);
}

void Autoscaler::start() { parts_.control.schedule(*this, parts_.control.now() + kTick); }

void Autoscaler::stop() {
  parts_.control.schedule(*this, kNever);
  end_of_lead();
}

void Autoscaler::configure() {
  const std::uint64_t generation = parts_.generation();
  if (generation == generation_) return;
  const config::Config& config = parts_.config();
  std::vector<BookedDeployment> booked;
  std::map<DeploymentKey, Scaled> scaled;
  for (const config::Endpoint& endpoint : config.endpoints) {
    for (const config::Deployment& deployment : endpoint.deployments) add(deployment, booked, scaled);
  }
  book_.set(booked);
  scaled_ = std::move(scaled);
  if (targets_ != nullptr) set_targets();
  std::erase_if(writing_, [this](const auto& each) { return !scaled_.contains(each.first); });
  generation_ = generation;  // last: if the code above throws, it is done again
}

void Autoscaler::add(const config::Deployment& deployment, std::vector<BookedDeployment>& booked,
                     std::map<DeploymentKey, Scaled>& scaled) {
  // A resource can lower the operator's mode, and not raise it.
  const AutoscalerMode most = parts_.config().process.autoscaler;
  const AutoscalerMode mode = std::min(deployment.scaling.autoscaler.value_or(most), most);
  const DeploymentKey key = deployment_key(deployment);
  dispatch::RequestQueue& queue = *parts_.live.get(key).queue;
  queue.set_counting(is_scaled(deployment, mode));
  if (!is_scaled(deployment, mode)) return queue.set_waking(std::nullopt);
  BookedDeployment& entry = booked.emplace_back();
  entry.key = key;
  entry.settings = settings_of(deployment);
  entry.acts = mode == AutoscalerMode::kAct;
  if (entry.acts && parts_.fleet == nullptr) entry.hindrance = Hindrance::kFleetRequired;
  if (deployment.adopt_azureml_pods) entry.hindrance = Hindrance::kManagedByAzureMl;
  Scaled& one = scaled[key];
  one.name = {deployment.namespace_name, deployment.endpoint_name, deployment.name};
  one.target = target_of(key, deployment);
  one.may_wake = entry.acts && entry.hindrance == Hindrance::kNone && entry.settings.min_instances == 0;
  const auto known = scaled_.find(key);
  one.since = known != scaled_.end() ? known->second.since : parts_.control.now();
  if (known != scaled_.end()) one.told = known->second.told;
}

const LiveDeployment* Autoscaler::live(const DeploymentKey& key) const {
  const auto found = parts_.live.all().find(key);
  return found == parts_.live.all().end() ? nullptr : found->second.get();
}

void Autoscaler::set_targets() {
  std::vector<discovery::ScaledDeployment> targets;
  targets.reserve(scaled_.size());
  for (const auto& [key, one] : scaled_) targets.push_back(one.target);
  targets_->set(std::move(targets));
}

std::string Autoscaler::own_id() const { return parts_.fleet == nullptr ? kSelf : parts_.fleet->own_id(); }

void Autoscaler::tell(std::string_view topic, std::string key, std::string body) {
  if (parts_.fleet == nullptr) return;
  const absl::Status told = parts_.fleet->tell({.topic = std::string(topic), .key = std::move(key), .body = std::move(body)});
  if (!told.ok()) log::warning(absl::StrCat("autoscaler: the other routers are not told: ", told.message()));
}

void Autoscaler::expired() {
  parts_.control.schedule(*this, parts_.control.now() + kTick);  // first: the code below may throw std::bad_alloc
  configure();
  lead_or_follow();
  if (book_.empty()) return;
  count();
  for (const auto& [key, one] : scaled_) hold_by_default(key);
  if (leads()) {
    decide_due();
    tell_starts();
  }
}

/// What this router has counted goes to all: each of them may lead next, and answers for the demand.
void Autoscaler::count() {
  const TimePoint now = parts_.control.now();
  const std::string own = own_id();
  if (own.empty()) return;  // the fleet has no news yet
  const std::set<std::string> members = parts_.fleet == nullptr ? std::set<std::string>{own} : parts_.fleet->member_ids();
  members_ = members.size();
  book_.set_members(members);
  scaling::SignalsNote note;
  for (const auto& [key, one] : scaled_) {
    if (live(key) == nullptr) continue;  // removed a moment ago
    const scaling::Signal signal = signal_of(live(key)->counted(), incarnation_, now - begun_);
    book_.hear(own, key, signal, now);
    if (parts_.fleet != nullptr) note.emplace(one.name, signal);
  }
  // Another part is the first each time: on a slow link it is not always the same one that finds no room.
  std::vector<std::string> bodies = scaling::encode_signals(note);
  ++rounds_;
  for (std::size_t each = 0; each < bodies.size(); ++each) {
    const std::size_t part = (each + rounds_) % bodies.size();
    tell(scaling::kSignalsTopic, std::to_string(part), std::move(bodies[part]));
  }
}

void Autoscaler::hear_signals(const std::string& member, const fleet::Note& note) {
  const absl::StatusOr<scaling::SignalsNote> signals = scaling::decode_signals(note.body);
  if (!signals.ok()) return;  // of a later version; its sender counts as silent, and nothing is scaled down
  const TimePoint now = parts_.control.now();
  for (const auto& [name, signal] : *signals) {
    book_.hear(member, deployment_key(name.name_space, name.endpoint, name.deployment), signal, now);
  }
}

void Autoscaler::lead_or_follow() {
  const bool leads_now = parts_.leads() && !book_.empty();
  if (leads_now == leads()) return;
  if (leads_now) {
    begin_to_lead();
  } else {
    end_of_lead();
  }
}

/// A write that is under way may have been stored: it is told as one without an answer.
void Autoscaler::end_of_lead() {
  targets_.reset();
  for (const auto& [key, decision] : std::exchange(writing_, {})) {
    log_decision(key, decision, discovery::name_of(discovery::ScaleWriteResult::kUnknown));
  }
}

void Autoscaler::begin_to_lead() {
  discovery::ScaleTargetsOptions options;
  options.changed = [this](const std::string& key) {
    if (book_.find(key) != nullptr) decide(key);
  };
  options.written = [this](const std::string& key, const discovery::ScaleWritten& end) { written(key, end); };
  targets_ = parts_.make_targets(std::move(options));
  set_targets();
  book_.begin(parts_.control.now(), parts_.told(scaling::name_of(scaling::Reason::kPaused)));
}

/// What another autoscaler had decided is kept for two windows after it has gone.
Duration Autoscaler::after_conflict(const DeploymentKey& key) const {
  const ScalingBook::Entry* entry = book_.find(key);
  if (entry == nullptr || entry->decisions.empty()) return {};
  return std::chrono::duration_cast<Duration>(2 * entry->decisions.back().figures.window);
}

TargetSeen Autoscaler::look_at(const DeploymentKey& key) const {
  TargetSeen seen;
  if (live(key) != nullptr) seen.ready = static_cast<int>(live(key)->queue->demand().replicas_ready);
  const discovery::ScaleSeen* target = targets_->seen(key);
  if (target == nullptr || (!target->known && target->obstacle == ScaleObstacle::kNone)) {
    seen.hindrance = Hindrance::kTargetUnknown;
    seen.obstacle = "the target was not read yet";
    return seen;
  }
  seen.replicas = target->replicas;
  seen.rollout = target->rollout;
  seen.foreign_changes = target->foreign_changes;
  seen.foreign = target->foreign_writer;
  seen.hindrance = hindrance_of(target->obstacle);
  if (seen.hindrance != Hindrance::kNone) seen.obstacle = target->obstacle_text;
  const bool had_one = target->conflicted != TimePoint{};
  if (seen.hindrance == Hindrance::kNone && had_one && parts_.control.now() - target->conflicted < after_conflict(key)) {
    seen.hindrance = Hindrance::kConflictingAutoscaler;
    seen.obstacle = "a HorizontalPodAutoscaler had this target lately";
  }
  return seen;
}

void Autoscaler::decide_due() {
  const TimePoint now = parts_.control.now();
  // A tick that comes a little early must not leave it to the next one.
  constexpr Duration kEarly = Duration(kTick) / 2;
  for (const DeploymentKey& key : book_.keys()) {
    if (book_.is_due(key, now + kEarly)) decide(key);
  }
}

/// A new leader says nothing of what it has not seen yet, nor does any of a deployment that is new.
bool Autoscaler::has_looked(const DeploymentKey& key) const {
  const TimePoint since = std::max(book_.leads_since(), scaled_.at(key).since);
  if (parts_.control.now() - since >= kFirstLook) return true;
  const discovery::ScaleSeen* target = targets_->seen(key);
  return target != nullptr && target->obstacle != ScaleObstacle::kHpasUnreadable &&
         (target->known || target->obstacle != ScaleObstacle::kNone);
}

void Autoscaler::decide(const DeploymentKey& key) {
  if (!has_looked(key)) return;
  const ScalingNews news = book_.decide(key, look_at(key), parts_.control.now());
  // At once, not with the next tick: a request that is held meanwhile would stay so.
  if (const std::optional<scaling::StartNote> start = start_of(key)) apply_start(key, *start);
  act(key, book_.find(key)->decisions.back(), news);
}

void Autoscaler::act(const DeploymentKey& key, const ScalingDecision& decision, ScalingNews news) {
  if (decision.decision.write && targets_->write(key, decision.decision.replicas)) writing_.insert_or_assign(key, decision);
  if (news == ScalingNews::kNone) return;
  parts_.changed();
  if (news != ScalingNews::kReason) return;
  log_decision(key, decision, "");
  if (scaling::holds(decision.decision.reason) == scaling::Holds::kTrue) return;
  parts_.events({.key = key,
                 .kind = ScalingEvent::Kind::kRefused,
                 .reason = std::string(scaling::name_of(decision.decision.reason)),
                 .message = decision.message});
}

void Autoscaler::written(const DeploymentKey& key, const discovery::ScaleWritten& end) {
  const std::string result(discovery::name_of(end.result));
  ++writes_[result];
  const auto found = writing_.find(key);
  if (found == writing_.end()) return;
  const ScalingDecision decision = std::move(found->second);
  writing_.erase(found);
  log_decision(key, decision, result);
  const bool forbidden = end.result == discovery::ScaleWriteResult::kForbidden;
  const bool refused = end.result == discovery::ScaleWriteResult::kRefused || forbidden;
  book_.note_refused(key, refused ? absl::StrCat(end.from, " -> ", end.replicas, ": ", end.text) : "",
                     forbidden ? scaling::Reason::kTargetForbidden : scaling::Reason::kTargetRefuses);
  if (end.result == discovery::ScaleWriteResult::kWritten) {
    parts_.events({.key = key,
                   .kind = end.replicas > end.from ? ScalingEvent::Kind::kScaledUp : ScalingEvent::Kind::kScaledDown,
                   .reason = std::string(scaling::name_of(decision.decision.reason)),
                   .message = decision.message});
  } else if (end.result != discovery::ScaleWriteResult::kConflict) {
    parts_.events({.key = key,
                   .kind = ScalingEvent::Kind::kRefused,
                   .reason = result,
                   .message = absl::StrCat(end.from, " -> ", end.replicas, ": ", end.text)});
  }
  parts_.changed();
}

// --- Requests that wait for a first replica

void Autoscaler::held(const DeploymentKey& key) {
  const auto one = scaled_.find(key);
  if (one == scaled_.end() || live(key) == nullptr) return;
  const auto waking = static_cast<std::uint32_t>(live(key)->counted().waking);
  tell(scaling::kWakeTopic, text_of(one->second.name), scaling::encode_wake({.of = one->second.name, .waking = waking}));
  wake(key);
}

void Autoscaler::hear_wake(const std::string&, const fleet::Note& note) {
  const absl::StatusOr<scaling::WakeNote> heard = scaling::decode_wake(note.body);
  if (heard.ok()) wake(deployment_key(heard->of.name_space, heard->of.endpoint, heard->of.deployment));
}

void Autoscaler::wake(const DeploymentKey& key) {
  if (book_.wake(key, parts_.control.now()) && leads()) decide(key);
}

/// Whether requests are held for the deployment, by the last decision; nothing: that says nothing about it.
std::optional<scaling::StartNote> Autoscaler::start_of(const DeploymentKey& key) const {
  const ScalingBook::Entry* entry = book_.find(key);
  if (!scaled_.at(key).may_wake || entry == nullptr || entry->decisions.empty()) return std::nullopt;
  const ScalingDecision& decision = entry->decisions.back();
  if (decision.at < book_.leads_since()) return std::nullopt;  // of an earlier time as leader
  // What cannot be read now says nothing about who has decided: what was told before holds, and then the default.
  const Hindrance hindrance = decision.figures.hindrance;
  if (hindrance == Hindrance::kTargetUnknown || hindrance == Hindrance::kHpasUnreadable) return std::nullopt;
  return scaling::StartNote{
      .holds = may_hold(*entry), .pod_start = decision.figures.pod_start, .asked_for = decision.figures.asked_for};
}

/// The leader tells all, itself too, for which deployments requests are held, and how long a start takes.
void Autoscaler::tell_starts() {
  scaling::StartsNote note;
  for (const auto& [key, one] : scaled_) {
    if (const std::optional<scaling::StartNote> start = start_of(key)) note.emplace(one.name, *start);
  }
  std::size_t part = 0;
  for (std::string& body : scaling::encode_starts(note)) tell(scaling::kStartsTopic, std::to_string(part++), std::move(body));
}

void Autoscaler::hear_starts(const std::string&, const fleet::Note& note) {
  const absl::StatusOr<scaling::StartsNote> starts = scaling::decode_starts(note.body);
  if (!starts.ok() || leads()) return;
  for (const auto& [name, start] : *starts) apply_start(deployment_key(name.name_space, name.endpoint, name.deployment), start);
}

void Autoscaler::apply_start(const DeploymentKey& key, const scaling::StartNote& start) {
  const auto one = scaled_.find(key);
  if (one == scaled_.end() || !one->second.may_wake || live(key) == nullptr) return;
  const TimePoint now = parts_.control.now();
  one->second.told = now;
  dispatch::RequestQueue& queue = *live(key)->queue;
  if (!start.holds) return queue.set_waking(std::nullopt);
  dispatch::Awakening awakening{.pod_start = std::chrono::duration_cast<Duration>(start.pod_start)};
  if (start.asked_for > scaling::Seconds(0)) awakening.begun = now - std::chrono::duration_cast<Duration>(start.asked_for);
  queue.set_waking(awakening);
}

/// While nobody leads, requests are held all the same: the next leader will start a replica for them.
void Autoscaler::hold_by_default(const DeploymentKey& key) {
  const Scaled& one = scaled_.at(key);
  const bool leader_has_said = one.told != TimePoint{} && parts_.control.now() - one.told < kLeaderHeard;
  if ((one.may_wake && leader_has_said) || live(key) == nullptr) return;
  dispatch::RequestQueue& queue = *live(key)->queue;
  if (!one.may_wake) return queue.set_waking(std::nullopt);
  queue.set_waking(dispatch::Awakening{.pod_start = std::chrono::duration_cast<Duration>(scaling::kPodStartAtFirst)});
}

std::optional<scaling::Figures> Autoscaler::demand(const DeploymentKey& key) {
  if (book_.find(key) == nullptr) return std::nullopt;
  return book_.glance(key);
}

}  // namespace router::serving

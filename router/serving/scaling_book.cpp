#include "router/serving/scaling_book.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>

#include "router/scaling/explain.h"

namespace router::serving {
namespace {

using scaling::Reason;

constexpr std::size_t kWhyMost = 100;  // bytes

bool is_about_the_same(const ScalingDecision& one, const ScalingDecision& another) {
  return one.decision == another.decision && one.figures.replicas == another.figures.replicas;
}

/// Leaves at most so many bytes, and cuts no character in two: the API server would refuse the status.
void shorten(std::string& text, std::size_t most) {
  if (text.size() <= most) return;
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0) == 0x80) --most;
  text.resize(most);
}

/// Which routers do not tell what they count; at most two names.
std::string missing_text(const std::vector<std::string>& silent) {
  constexpr std::size_t kNamed = 2;
  std::string text = "no figures of ";
  for (std::size_t each = 0; each < std::min(silent.size(), kNamed); ++each) {
    absl::StrAppend(&text, each == 0 ? "" : ", ", silent[each]);
  }
  if (silent.size() > kNamed) absl::StrAppend(&text, " and ", silent.size() - kNamed, " more");
  return text;
}

/// What hinders comes first: the figures say what would be done.
std::string message_of(const TargetSeen& seen, const scaling::Outcome& outcome, const std::vector<std::string>& silent) {
  const std::string figures = scaling::explain(outcome.figures, outcome.decision);
  std::string why = seen.obstacle;  // cut below, so that the figures have room
  if (outcome.decision.reason == Reason::kContested || outcome.decision.reason == Reason::kFrozenForeignChange ||
      outcome.decision.reason == Reason::kPaused) {
    why = seen.foreign;
  }
  if (outcome.decision.reason == Reason::kFrozenSignalsIncomplete) why = missing_text(silent);
  shorten(why, kWhyMost);
  std::string message = why.empty() ? figures : absl::StrCat(why, "; ", figures);
  shorten(message, scaling::kMessageMost);
  return message;
}

}  // namespace

scaling::Signal signal_of(const Counted& counted, std::uint64_t process, scaling::Seconds uptime) {
  scaling::Signal signal;
  signal.incarnation = process + counted.made;
  signal.uptime = uptime;
  signal.since_start = {.busy = counted.queue.busy,
                        .waiting = counted.queue.waiting,
                        .held = counted.queue.held,
                        .told = static_cast<double>(counted.offered.told_seconds),
                        .returns = counted.queue.returns,
                        .arrivals = counted.offered.arrivals,
                        .refusals = counted.offered.refusals};
  signal.waking = static_cast<std::uint32_t>(counted.waking);
  return signal;
}

void ScalingBook::set(const std::vector<BookedDeployment>& deployments) {
  std::map<DeploymentKey, Known> next;
  for (const BookedDeployment& each : deployments) {
    auto known = known_.extract(each.key);
    if (known.empty()) {
      next.try_emplace(each.key, each).first->second.scaler.set_members(members_);
      continue;
    }
    Known& old = known.mapped();
    if (old.entry.deployment.settings != each.settings) old.scaler.configure(each.settings);
    old.entry.deployment = each;
    next.insert(std::move(known));
  }
  known_ = std::move(next);
}

void ScalingBook::set_members(const std::set<std::string>& members) {
  if (members == members_) return;
  members_ = members;
  for (auto& [key, known] : known_) known.scaler.set_members(members_);
}

bool ScalingBook::hear(const std::string& member, const DeploymentKey& key, const scaling::Signal& signal, TimePoint now) {
  const auto known = known_.find(key);
  return known != known_.end() && known->second.scaler.hear(member, signal, now);
}

bool ScalingBook::wake(const DeploymentKey& key, TimePoint now) {
  const auto known = known_.find(key);
  if (known == known_.end()) return false;
  const bool first = now - known->second.woken >= kWakeHolds;
  known->second.woken = now;
  return first;
}

void ScalingBook::begin(TimePoint now, const std::set<DeploymentKey>& paused) {
  leads_since_ = now;
  for (auto& [key, known] : known_) {
    known.scaler.begin(paused.contains(key));
    known.foreign_known = false;
    known.due = now;
    known.entry.is_told = false;
    known.entry.clear_refusal();
  }
}

bool ScalingBook::is_due(const DeploymentKey& key, TimePoint now) const {
  const auto known = known_.find(key);
  return known != known_.end() && known->second.due <= now;
}

ScalingNews ScalingBook::decide(const DeploymentKey& key, const TargetSeen& seen, TimePoint now) {
  Known& known = known_.at(key);
  const BookedDeployment& deployment = known.entry.deployment;
  scaling::Observation observed{.now = now, .leader_since = leads_since_, .replicas = seen.replicas, .ready = seen.ready};
  observed.rollout = seen.rollout;
  observed.foreign_change = known.foreign_known && seen.foreign_changes != known.foreign_changes;
  observed.wake = now - known.woken < kWakeHolds;
  observed.hindrance = deployment.hindrance;
  if (observed.hindrance == scaling::Hindrance::kNone) observed.hindrance = seen.hindrance;
  if (observed.hindrance == scaling::Hindrance::kNone && !deployment.acts) observed.hindrance = scaling::Hindrance::kObserve;
  known.foreign_known = true;
  known.foreign_changes = seen.foreign_changes;
  // A decision that something else has caused comes in between, and delays none.
  if (known.due <= now) known.due = now + std::chrono::duration_cast<Duration>(deployment.settings.polling_interval);
  const scaling::Outcome outcome = known.scaler.decide(observed);
  std::vector<std::string> silent;
  if (!outcome.figures.signals_complete) silent = known.scaler.silent(now);
  if (!outcome.decision.write) known.entry.clear_refusal();  // what was refused is not wanted any more
  keep(known.entry,
       {.at = now, .figures = outcome.figures, .decision = outcome.decision, .message = message_of(seen, outcome, silent)});
  return news(known.entry);
}

ScalingNews ScalingBook::news(Entry& entry) {
  const ScalingDecision& decision = entry.decisions.back();
  const Duration since = decision.at - entry.told.at;
  ScalingNews news = ScalingNews::kNone;
  if (decision.decision.write) {
    news = entry.is_told && is_about_the_same(entry.told, decision) ? ScalingNews::kNone : ScalingNews::kReplicas;
  } else if (!entry.is_told || scaling::holds(decision.decision.reason) != scaling::holds(entry.told.decision.reason) ||
             (!is_about_the_same(entry.told, decision) && since >= kReasonEvery)) {
    news = ScalingNews::kReason;
  } else if (since >= kNumbersEvery) {
    news = ScalingNews::kNumbers;
  }
  if (news == ScalingNews::kNone) return news;
  entry.told = decision;
  entry.is_told = true;
  return news;
}

void ScalingBook::keep(Entry& entry, ScalingDecision decision) {
  if (!entry.decisions.empty() && is_about_the_same(entry.decisions.back(), decision)) {
    entry.decisions.back() = std::move(decision);
    return;
  }
  entry.decisions.push_back(std::move(decision));
  if (entry.decisions.size() > kKept) entry.decisions.pop_front();
}

void ScalingBook::note_refused(const DeploymentKey& key, std::string why, Reason as) {
  const auto known = known_.find(key);
  if (known == known_.end()) return;
  known->second.entry.refused_as = why.empty() ? Reason::kTargetRefuses : as;
  known->second.entry.refused = std::move(why);
}

std::vector<DeploymentKey> ScalingBook::keys() const {
  std::vector<DeploymentKey> keys;
  keys.reserve(known_.size());
  for (const auto& [key, known] : known_) keys.push_back(key);
  return keys;
}

const ScalingBook::Entry* ScalingBook::find(const DeploymentKey& key) const {
  const auto known = known_.find(key);
  return known == known_.end() ? nullptr : &known->second.entry;
}

scaling::Figures ScalingBook::glance(const DeploymentKey& key) { return known_.at(key).scaler.glance(); }

}  // namespace router::serving

#include "router/scaling/decide.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace router::scaling {
namespace {

constexpr double kRounding = 1e-9;  // 3 slots of demand at 1 slot a pod are 3 pods, not 4
constexpr double kPodsMost = 1e6;   // before the conversion to int; max_instances is below

/// Reasons for which the figures do not matter.
std::optional<Reason> refusal(const Figures& figures) {
  switch (figures.hindrance) {
    case Hindrance::kFleetRequired: return Reason::kFleetRequired;
    case Hindrance::kTargetNotMarked: return Reason::kTargetNotMarked;
    case Hindrance::kConflictingAutoscaler: return Reason::kConflictingAutoscaler;
    case Hindrance::kHpasUnreadable: return Reason::kHpasUnreadable;
    case Hindrance::kManagedByAzureMl: return Reason::kManagedByAzureMl;
    case Hindrance::kTargetUnknown: return Reason::kTargetUnknown;
    case Hindrance::kTargetNotFound: return Reason::kTargetNotFound;
    case Hindrance::kTargetForbidden: return Reason::kTargetForbidden;
    case Hindrance::kObserve:
    case Hindrance::kNone: break;
  }
  if (figures.settings.slots <= 0) return Reason::kUnlimitedConcurrency;
  if (figures.contested) return Reason::kContested;
  if (figures.paused) return Reason::kPaused;
  if (figures.foreign_lately) return Reason::kFrozenForeignChange;
  return std::nullopt;
}

/// Why nothing is scaled down now.
std::optional<Reason> freeze(const Figures& figures) {
  if (!figures.signals_complete) return Reason::kFrozenSignalsIncomplete;
  if (figures.rollout) return Reason::kFrozenRolloutInProgress;
  if (figures.leader_age < figures.window) return Reason::kFrozenLeaderYoung;
  if (figures.asked_for > kStartsUntilNotStarting * figures.pod_start) return Reason::kFrozenPodsNotStarting;
  return std::nullopt;
}

bool idle(const Figures& figures) {
  return !figures.requests_waking && figures.idle >= std::max(figures.settings.idle_time, figures.window);
}

/// The last replica stays until the deployment is idle, and no replica is started without a request.
int least(const Figures& figures) {
  const int minimum = figures.settings.min_instances;
  if (minimum > 0) return minimum;
  if (figures.requests_waking) return 1;
  return figures.replicas == 0 || idle(figures) ? 0 : 1;
}

/// The most that may be asked for at once. `replicas_before`: several steps within kStepTime are one.
int step(const Figures& figures) {
  const int before = figures.replicas_before;
  return std::max({2 * before, before + kStepLeast, figures.replicas});
}

Decision up(const Figures& figures, int want) {
  const Reason reason = figures.replicas == 0 ? Reason::kWaking : Reason::kScaledUp;
  return {.replicas = std::min(want, step(figures)), .reason = reason};
}

Reason reason_to_stay(const Figures& figures, int want) {
  const double pods = demand_of(figures).slots() / (figures.settings.slots * figures.settings.target);
  if (figures.replicas == 0) return Reason::kIdle;
  if (figures.ready == 0 && figures.requests_waking) return Reason::kWaking;
  if (want == figures.settings.max_instances && pods > want + kRounding) return Reason::kAtMaximum;
  if (want == figures.settings.min_instances && pods <= want - 1) return Reason::kAtMinimum;
  return Reason::kSteady;
}

Decision down(const Figures& figures, int want) {
  const int maximum = figures.settings.max_instances;
  const bool ends = want == 0;  // idle for longer than the window
  const int kept = ends ? 0 : std::clamp(figures.highest_want, want, maximum);
  const std::optional<Reason> frozen = freeze(figures);
  // Replicas that do not start, and that nobody needs, are given up; those that serve stay. Otherwise one pod that is pending
  // for ever would keep all others for ever.
  const bool only_unready = frozen == Reason::kFrozenPodsNotStarting;
  const int next = only_unready ? std::max(kept, figures.ready) : kept;
  if (next >= figures.replicas || next > maximum || (frozen && !only_unready)) {
    return {.replicas = figures.replicas, .reason = frozen.value_or(Reason::kKeptByWindow)};
  }
  return {.replicas = next, .reason = ends ? Reason::kIdle : Reason::kScaledDown};
}

Decision by_figures(const Figures& figures) {
  const int want = std::min(std::max(want_of(figures), least(figures)), figures.settings.max_instances);
  const int now = figures.replicas;
  Decision decision;
  if (want > now) decision = up(figures, want);
  if (want < now) decision = down(figures, want);
  if (want == now) decision = {.replicas = now, .reason = reason_to_stay(figures, want)};
  // A step that is used up: nothing is written until its time is over.
  if (want > now && decision.replicas == now) decision.reason = Reason::kScaledUp;
  return decision;
}

}  // namespace

Demand demand_of(const Figures& figures) {
  const Load& load = figures.load;
  // Those that were refused and come again after Retry-After are the same clients: each of them is worth one slot, not one for
  // each try.
  const Seconds again = std::min(figures.held, load.told);
  const double served = std::max(0.0, load.arrivals - load.refusals);
  const double refused = std::min(load.refusals, load.arrivals);
  return {.present = load.busy + load.waiting + load.waking,
          .offered = served * figures.held.count() + refused * again.count()};
}

int want_of(const Figures& figures) {
  const Settings& settings = figures.settings;
  if (settings.slots <= 0) return settings.min_instances;
  const double pods = std::ceil(demand_of(figures).slots() / (settings.slots * settings.target) - kRounding);
  return std::clamp(static_cast<int>(std::min(pods, kPodsMost)), settings.min_instances, settings.max_instances);
}

Decision decide(const Figures& figures) {
  if (const auto refused = refusal(figures)) return {.replicas = figures.replicas, .reason = *refused};
  Decision decision = by_figures(figures);
  decision.write = decision.replicas != figures.replicas && figures.hindrance == Hindrance::kNone;
  return decision;
}

std::string_view name_of(Reason reason) {
  switch (reason) {
    case Reason::kSteady: return "Steady";
    case Reason::kScaledUp: return "ScaledUp";
    case Reason::kScaledDown: return "ScaledDown";
    case Reason::kAtMaximum: return "AtMaximum";
    case Reason::kAtMinimum: return "AtMinimum";
    case Reason::kKeptByWindow: return "KeptByWindow";
    case Reason::kWaking: return "Waking";
    case Reason::kIdle: return "Idle";
    case Reason::kFrozenSignalsIncomplete: return "FrozenSignalsIncomplete";
    case Reason::kFrozenRolloutInProgress: return "FrozenRolloutInProgress";
    case Reason::kFrozenPodsNotStarting: return "FrozenPodsNotStarting";
    case Reason::kFrozenLeaderYoung: return "FrozenLeaderYoung";
    case Reason::kFrozenForeignChange: return "FrozenForeignChange";
    case Reason::kPaused: return "Paused";
    case Reason::kUnlimitedConcurrency: return "UnlimitedConcurrency";
    case Reason::kContested: return "Contested";
    case Reason::kFleetRequired: return "FleetRequired";
    case Reason::kTargetNotMarked: return "TargetNotMarked";
    case Reason::kConflictingAutoscaler: return "ConflictingAutoscaler";
    case Reason::kHpasUnreadable: return "HPAsUnreadable";
    case Reason::kManagedByAzureMl: return "ManagedByAzureML";
    case Reason::kTargetUnknown: return "TargetUnknown";
    case Reason::kTargetNotFound: return "TargetNotFound";
    case Reason::kTargetForbidden: return "TargetForbidden";
    case Reason::kTargetRefuses: return "TargetRefuses";
  }
  return "";
}

bool limits(Reason reason) {
  return reason != Reason::kSteady && reason != Reason::kScaledUp && reason != Reason::kScaledDown &&
         reason != Reason::kWaking && reason != Reason::kIdle;
}

Holds holds(Reason reason) {
  if (reason == Reason::kHpasUnreadable || reason == Reason::kTargetUnknown) return Holds::kUnknown;
  return reason < Reason::kUnlimitedConcurrency ? Holds::kTrue : Holds::kFalse;
}

}  // namespace router::scaling

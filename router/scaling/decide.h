#pragma once

#include <string_view>

#include "router/scaling/signals.h"

namespace router::scaling {

/// Why nothing may be written, whatever the figures say. Found by those who read the cluster; the rule goes on beside it.
enum class Hindrance {
  kNone,
  kObserve,  // autoscaler: observe. The decision has its usual reason
  kFleetRequired,
  kTargetNotMarked,
  kConflictingAutoscaler,
  kHpasUnreadable,
  kManagedByAzureMl,
  kTargetUnknown,  // it was not read yet, or cannot be read
  kTargetNotFound,
  kTargetForbidden,  // the rights to read it, or to write its scale, are missing
};

/// The reasons of the condition Autoscaled. `name_of` is what stands in the condition.
enum class Reason {
  kSteady,
  kScaledUp,
  kScaledDown,
  kAtMaximum,
  kAtMinimum,
  kKeptByWindow,
  kWaking,
  kIdle,
  kFrozenSignalsIncomplete,
  kFrozenRolloutInProgress,
  kFrozenPodsNotStarting,
  kFrozenLeaderYoung,
  kFrozenForeignChange,
  kPaused,  // somebody else set the replicas to 0
  // Autoscaled is False (kHpasUnreadable, kTargetUnknown: Unknown):
  kUnlimitedConcurrency,
  kContested,
  kFleetRequired,
  kTargetNotMarked,
  kConflictingAutoscaler,
  kHpasUnreadable,
  kManagedByAzureMl,
  kTargetUnknown,
  kTargetNotFound,
  kTargetForbidden,
  kTargetRefuses,  // not of `decide`: the last write was refused, by a quota or an admission policy
};
std::string_view name_of(Reason reason);

/// The status of the condition Autoscaled.
enum class Holds { kTrue, kFalse, kUnknown };
Holds holds(Reason reason);
/// Whether something else than the demand has decided.
bool limits(Reason reason);

/// All that a decision depends on: with them it can be computed again. What is averaged is averaged over `averaged`.
struct Figures {
  Settings settings;
  Load load;
  Seconds averaged{0};
  Seconds held{0};       // mean held time of a slot; 0: not known
  Seconds pod_start{0};  // as measured
  Seconds window{0};     // how long the highest want counts
  int replicas = 0;      // spec.replicas
  int ready = 0;
  int replicas_before = 0;  // the least spec.replicas of the last kStepTime
  int highest_want = 0;     // of the last 20 polling intervals, and by the mean over kKeptMean of the window
  Seconds asked_for{0};     // how long the oldest replica has been asked for that is not ready; 0: none
  Seconds leader_age{0};
  Seconds idle{0};               // without any request
  bool requests_waking = false;  // requests are held for a first replica now
  bool signals_complete = false;
  bool rollout = false;
  bool foreign_lately = false;  // somebody else changed spec.replicas less than a window ago
  bool paused = false;          // somebody else set it to 0
  bool contested = false;
  Hindrance hindrance = Hindrance::kNone;

  bool operator==(const Figures&) const = default;
};

/// The demand in slots, by its two parts: what is there, and what came. What was refused is in the second only.
struct Demand {
  double present = 0;  // busy + waiting + held for waking
  double offered = 0;  // arrivals x the mean time that they hold a slot, or come again
  double slots() const { return present > offered ? present : offered; }
};
Demand demand_of(const Figures& figures);

/// The replicas for the demand of now, within minimum and maximum. It does not depend on how many there are: if those that
/// were asked for do not start, it does not grow.
int want_of(const Figures& figures);

struct Decision {
  int replicas = 0;  // to write, if it is not what is there
  Reason reason = Reason::kSteady;
  bool write = false;  // replicas differ, and nothing hinders

  bool operator==(const Decision&) const = default;
};

/// The rule (docs/autoscaling.md). No clock, no state: the same figures make the same decision.
Decision decide(const Figures& figures);

}  // namespace router::scaling

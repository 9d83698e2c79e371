#pragma once

#include <deque>
#include <set>
#include <string>
#include <vector>

#include "router/scaling/decide.h"
#include "router/scaling/history.h"

namespace router::scaling {

/// What the leader knows of the target at one time.
struct Observation {
  TimePoint now{};
  TimePoint leader_since{};
  int replicas = 0;  // spec.replicas
  int ready = 0;     // ready endpoints
  bool rollout = false;
  bool foreign_change = false;  // somebody else changed spec.replicas since the last observation
  bool wake = false;            // a member holds requests for a first replica: known before its next signal
  Hindrance hindrance = Hindrance::kNone;
};

struct Outcome {
  Figures figures;
  Decision decision;  // == decide(figures)
};

/// What the leader remembers of one deployment between two decisions. A copy goes on alone: all state is here, and the time
/// comes from the observations. Threads: none of its own; one owner, the leader's.
class Scaler {
 public:
  explicit Scaler(const Settings& settings);

  /// The members of the fleet, this one too. Others are not heard.
  void set_members(const std::set<std::string>& members) { signals_.set_members(members); }
  /// False if the signal is not believed (Signals::hear).
  bool hear(const std::string& member, const Signal& signal, TimePoint now) { return signals_.hear(member, signal, now); }
  /// The resource was changed. What was measured stays; changes by others are forgotten.
  void configure(const Settings& settings);
  /// This router begins to lead: what an earlier time as leader has seen of the target says nothing. What was heard stays.
  /// `paused`: the leader before had seen that somebody else has set the replicas to 0.
  void begin(bool paused = false);
  /// The members whose signals are missing.
  std::vector<std::string> silent(TimePoint now) const {
    return signals_.silent(now, kSilentTicks * settings_.polling_interval);
  }
  /// What is known of the demand, by one who does not lead: `figures` with the settings, the load and how it was averaged.
  Figures glance();

  /// Once each polling interval, and at once when a request waits for a first replica.
  Outcome decide(const Observation& seen);

 private:
  void note_foreign_change(const Observation& seen, Seconds window);
  void note_requests(const Observation& seen, const Load& load);
  int highest_want(TimePoint now, const Figures& figures);
  void remember(const Observation& seen, Figures& figures);

  Settings settings_;
  Signals signals_;
  MeanHeld held_;
  PodStarts starts_;
  SlidingExtreme peaks_;  // wants
  SlidingExtreme kept_;   // wants by the longer mean
  SlidingExtreme steps_{SlidingExtreme::Which::kLeast, kStepTime};
  std::deque<TimePoint> foreign_;  // the last three changes by others
  bool contested_ = false;
  bool paused_ = false;
  TimePoint last_request_{};
};

}  // namespace router::scaling

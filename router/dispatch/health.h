#pragma once

#include <cstddef>
#include <cstdint>

#include "router/base/time.h"

namespace router::dispatch {

/// Whether a replica may be chosen, according to the results of exchanges with it (contract, sections 6 and 7).
/// *Ejected*: after kFailuresMax failures in a row, for kFirst. The time doubles with each ejection, up to kLongest, and is
/// kFirst again if the replica was well for at least as long as its last ejection. The queue decides whether to eject it.
/// *Refusing*: its kernel has refused a connection, so no exchange can reach it. Begins with the first refusal. Ends
/// when the test of its return succeeds: its readiness route says ready, or in Kubernetes its kernel accepts a connection. Also
/// ends when its source reports it ready again.
/// Protected by the queue's mutex.
class Health {
 public:
  enum class State : std::uint8_t { kWell, kEjected, kRefusing };
  static constexpr std::size_t kFailuresMax = 5;
  static constexpr std::chrono::seconds kFirst{10};
  static constexpr std::chrono::seconds kLongest{300};
  /// If a replica refuses again within this time after its return, the first probe waits kPauseFirst, then twice as long each
  /// time, up to kPauseLongest. A replica that alternately accepts and refuses does not cause a loop of probes without a pause.
  static constexpr std::chrono::seconds kRefusesAgain{1};
  static constexpr std::chrono::milliseconds kPauseFirst{100};
  static constexpr std::chrono::milliseconds kPauseLongest{1000};

  void succeeded() { failures_ = 0; }
  void failed() { ++failures_; }
  bool failing() const { return failures_ >= kFailuresMax; }

  State state() const { return state_; }
  bool well() const { return state_ == State::kWell; }
  bool ejected() const { return state_ == State::kEjected; }
  bool refusing() const { return state_ == State::kRefusing; }
  /// While it is ejected or refusing: the earliest time of a probe for its readmission.
  TimePoint asked_from() const { return asked_from_; }
  void eject(TimePoint now);
  void refuse(TimePoint now);
  /// It may be chosen again; earlier failures do not count any more.
  void readmit(TimePoint now);

 private:
  State state_ = State::kWell;
  std::size_t failures_ = 0;  // in a row
  TimePoint asked_from_{};
  Duration ejection_{};  // length of the last ejection; zero: none yet
  TimePoint readmitted_{};
  Duration pause_{};  // between the last refusal and the first probe
  TimePoint accepted_{};
};

}  // namespace router::dispatch

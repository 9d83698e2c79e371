#pragma once

#include <cstddef>
#include <cstdint>

#include "router/base/time.h"

namespace router::dispatch {

/// Whether a replica may be chosen, by what exchanges with it have come to (contract, sections 6 and 7).
/// *Ejected*: after kFailuresMax failures in a row, for kFirst, doubling each time up to kLongest; a replica that has done well
/// for as long as it was last ejected begins anew. Whether it may be ejected at all is its queue's business.
/// *Refusing*: its kernel has refused a connection, so that no exchange can reach it: at once, until it accepts one again.
/// Belongs to the queue's mutex.
class Health {
 public:
  enum class State : std::uint8_t { kWell, kEjected, kRefusing };
  static constexpr std::size_t kFailuresMax = 5;
  static constexpr std::chrono::seconds kFirst{10};
  static constexpr std::chrono::seconds kLongest{300};
  /// A replica that refuses again so soon after its return is not asked at once, but after kPauseFirst, then twice as long, up
  /// to kPauseLongest: one that accepts and refuses by turns is not asked in a circle without a pause.
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
  /// While it is ejected or refusing: until when it is not even asked whether it is well again.
  TimePoint asked_from() const { return asked_from_; }
  void eject(TimePoint now);
  void refuse(TimePoint now);
  /// It may be chosen again; what it failed at before is over.
  void readmit(TimePoint now);

 private:
  State state_ = State::kWell;
  std::size_t failures_ = 0;  // in a row
  TimePoint asked_from_{};
  Duration ejection_{};  // length of the last one; none yet: zero
  TimePoint readmitted_{};
  Duration pause_{};  // before it was first asked, when it refused last
  TimePoint accepted_{};
};

}  // namespace router::dispatch

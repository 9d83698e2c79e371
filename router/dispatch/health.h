#pragma once

#include <cstddef>

#include "router/base/time.h"

namespace router::dispatch {

/// Whether a replica fails again and again, and for how long it is then not chosen (contract, section 7): after kFailuresMax in
/// a row for kFirst, doubling each time up to kLongest; a replica that has done well for as long as it was last ejected begins
/// anew. Whether it may be ejected at all is its line's business. Belongs to the line's mutex.
class Health {
 public:
  static constexpr std::size_t kFailuresMax = 5;
  static constexpr std::chrono::seconds kFirst{10};
  static constexpr std::chrono::seconds kLongest{300};

  void succeeded() { failures_ = 0; }
  void failed() { ++failures_; }
  bool failing() const { return failures_ >= kFailuresMax; }

  bool ejected() const { return ejected_; }
  /// Until when it is not chosen, and not asked either.
  TimePoint ejected_until() const { return ejected_until_; }
  void eject(TimePoint now);
  void readmit(TimePoint now);

 private:
  std::size_t failures_ = 0;  // in a row
  bool ejected_ = false;
  Duration length_{};  // of the last ejection; none yet: zero
  TimePoint ejected_until_{};
  TimePoint readmitted_{};
};

}  // namespace router::dispatch

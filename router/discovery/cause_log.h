#pragma once

#include <cstddef>
#include <string>

#include "router/base/time.h"

namespace router::discovery {

/// Which causes of one replica's trouble go to the log: the first one, and each that differs from the one before; at most
/// kTold within kWindow, so that a replica which fails in two ways by turns does not fill the log.
class CauseLog {
 public:
  static constexpr std::size_t kTold = 6;
  static constexpr std::chrono::seconds kWindow{60};

  /// Whether `cause` is to be told now; it is taken for told then.
  bool tells(const std::string& cause, TimePoint now);
  /// The replica does well. Whether a cause was told since it did so last.
  bool recovered();

 private:
  std::string last_;  // empty: none since it did well
  TimePoint window_{};
  std::size_t told_ = 0;  // in the window
};

}  // namespace router::discovery

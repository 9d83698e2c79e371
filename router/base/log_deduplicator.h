#pragma once

#include <cstddef>
#include <limits>
#include <set>
#include <string>

#include "router/base/time.h"

namespace router {

/// Decides which texts about one kind of trouble go to the log, so that what fails again and again does not fill it. Memory:
/// the texts that count as repeats. Belongs to one thread.
class LogDeduplicator {
 public:
  static constexpr std::size_t kUnlimited = std::numeric_limits<std::size_t>::max();

  struct Options {
    enum class Repeat {
      kAnyLogged,   // a text is a repeat if it was logged since the last recovery
      kLastLogged,  // a text is a repeat if it is the one that was logged last since then
    };
    Repeat repeat = Repeat::kAnyLogged;
    std::size_t logged_max = 16;  // texts until the recovery, or within `window`; further ones are not logged
    Duration window{};            // zero: there is none
  };

  LogDeduplicator() = default;
  explicit LogDeduplicator(Options options) : options_(options) {}

  /// Whether `text` is to be logged; it counts as logged then. `now` is of use with a window only. Throws std::bad_alloc.
  bool should_log(const std::string& text, TimePoint now = {});
  /// What failed works: a trouble that comes again is logged again. Whether one was logged since the last time. A window goes
  /// on.
  bool recovered();

 private:
  Options options_;
  std::set<std::string> repeats_;
  TimePoint window_{};      // its beginning
  std::size_t logged_ = 0;  // until the recovery, or in the window
};

}  // namespace router

#pragma once

#include <cstddef>
#include <limits>
#include <set>
#include <string>

#include "router/base/time.h"

namespace router {

/// Decides which messages about one kind of failure are logged, so that a failure that repeats does not fill the log. Memory:
/// the texts that count as repeats. One thread.
class LogDeduplicator {
 public:
  static constexpr std::size_t kUnlimited = std::numeric_limits<std::size_t>::max();

  struct Options {
    enum class Repeat {
      kAnyLogged,   // a text is a repeat if it was logged since the last recovery
      kLastLogged,  // a text is a repeat if it is the last one that was logged since the last recovery
    };
    Repeat repeat = Repeat::kAnyLogged;
    std::size_t logged_max = 16;  // texts logged before the next recovery, or within `window`; further ones are not logged
    Duration window{};            // zero: no window
  };

  LogDeduplicator() = default;
  explicit LogDeduplicator(Options options) : options_(options) {}

  /// Whether the caller must log `text`; if so, it counts as logged. `now` matters only with a window. Throws std::bad_alloc.
  bool should_log(const std::string& text, TimePoint now = {});
  /// The failure is over: if it comes again, it is logged again. Returns whether it was logged since the last recovery. Does
  /// not end a window.
  bool recovered();

 private:
  Options options_;
  std::set<std::string> repeats_;
  TimePoint window_{};      // its start
  std::size_t logged_ = 0;  // since the last recovery, or in the window
};

}  // namespace router

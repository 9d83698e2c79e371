#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "router/base/time.h"
#include "router/metrics/cells.h"

namespace router::upstream {

/// What one shard has learned about a replica: whether it keeps connections open after an answer, or closes them silently,
/// without `Connection: close`. A request that is sent while the replica closes is lost. See
/// docs/decisions/0019-silent-closing.md. One shard.
class ClosingHabit {
 public:
  /// During this time after an answer, a server that closes silently may be about to close.
  static constexpr std::chrono::milliseconds kYoung{10};
  /// A connection that ends within this time after an answer counts as closed because of that answer.
  static constexpr std::chrono::milliseconds kSoon{100};
  static constexpr int kProofs = 3;  // connections found open after kYoung that prove that it keeps them; one after kSoon does
  static constexpr int kEnds = 2;    // silent ends in a row that prove that it closes them
  static constexpr std::chrono::seconds kRemembered{60};  // after the last silent end

  /// Whether it is proved that the replica keeps connections, and no silent end was seen since.
  bool keeps() const { return known_ == Known::kKeeps; }
  bool closes(TimePoint now);

  /// Records that a connection was open `since_answer` after an answer.
  void lived(Duration since_answer);
  /// Records that a connection, open since `opened`, has ended soon after an answer without an announcement. True: from now on
  /// the replica counts as one that closes silently.
  bool ended(TimePoint opened, TimePoint now);

  /// Any thread: the same as `closes`.
  bool closes_as_seen_by_others(TimePoint now) const { return nanoseconds(now) < closes_until_.value(); }

 private:
  friend class ClosingHabits;
  enum class Known { kNothing, kKeeps, kCloses };
  static std::uint64_t nanoseconds(TimePoint time) { return static_cast<std::uint64_t>(time.time_since_epoch().count()); }

  Known known_ = Known::kNothing;
  int proofs_ = 0;
  int ends_ = 0;                // in a row
  TimePoint counted_end_{};     // time of the last counted end
  metrics::Cell closes_until_;  // nanoseconds of the clock; zero or in the past: it does not close silently
};

/// The habit of one replica, as each shard knows it. A connection shares ownership, since it may outlive the replica.
class ClosingHabits {
 public:
  /// `keeps`: it is known that the replica keeps its connections.
  ClosingHabits(std::string replica, std::size_t shards, bool keeps = false)
      : replica_(std::move(replica)), of_shards_(shards) {
    for (OfShard& each : of_shards_) each.habit.known_ = keeps ? ClosingHabit::Known::kKeeps : ClosingHabit::Known::kNothing;
  }

  ClosingHabit& on(std::size_t shard) { return of_shards_[shard].habit; }
  /// Records a silent end on `shard`. The first time that any shard finds the habit is logged.
  void ended(std::size_t shard, TimePoint opened, TimePoint now) noexcept;
  /// Any thread: whether any shard considers it one that closes silently.
  bool closes(TimePoint now) const;

 private:
  void log_habit() const;

  struct alignas(64) OfShard {
    ClosingHabit habit;
  };
  const std::string replica_;
  std::vector<OfShard> of_shards_;
  std::atomic_flag told_;
};

}  // namespace router::upstream

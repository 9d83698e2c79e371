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

/// What one shard has learned about a replica: whether it keeps its connections after an answer, or closes them without having
/// announced it (`Connection: close`). A request that is sent into such a close is lost. See
/// docs/decisions/0019-silent-closing.md. One shard.
class ClosingHabit {
 public:
  /// Within this time of an answer, a server that closes without a word may be about to.
  static constexpr std::chrono::milliseconds kYoung{10};
  /// A connection that ends within this time of an answer ended because of that answer.
  static constexpr std::chrono::milliseconds kSoon{100};
  static constexpr int kProofs = 3;  // connections found alive after kYoung: then the replica keeps them; after kSoon: one
  static constexpr int kEnds = 2;    // silent ends in a row: then it closes them
  static constexpr std::chrono::seconds kRemembered{60};  // after the last silent end

  /// It has been proved to keep connections, and no silent end has been seen since.
  bool keeps() const { return known_ == Known::kKeeps; }
  bool closes(TimePoint now);

  /// A connection was found open so long after an answer.
  void lived(Duration since_answer);
  /// A connection, open since `opened`, has ended soon after an answer without an announcement. True: from now on the replica
  /// is taken for one that closes silently.
  bool ended(TimePoint opened, TimePoint now);

  /// Any thread: the same as `closes`.
  bool closes_as_seen_by_others(TimePoint now) const { return nanoseconds(now) < closes_until_.value(); }

 private:
  enum class Known { kNothing, kKeeps, kCloses };
  static std::uint64_t nanoseconds(TimePoint time) { return static_cast<std::uint64_t>(time.time_since_epoch().count()); }

  Known known_ = Known::kNothing;
  int proofs_ = 0;
  int ends_ = 0;                // in a row
  TimePoint counted_end_{};     // the last of them
  metrics::Cell closes_until_;  // nanoseconds of the clock; 0 or past: it does not
};

/// The habit of one replica as each shard knows it. A connection holds it, for it may outlive the replica.
class ClosingHabits {
 public:
  ClosingHabits(std::string replica, std::size_t shards) : replica_(std::move(replica)), of_shards_(shards) {}

  ClosingHabit& on(std::size_t shard) { return of_shards_[shard].habit; }
  /// A silent end that `shard` has seen; the first time that it makes a habit is told in the log.
  void ended(std::size_t shard, TimePoint opened, TimePoint now) noexcept;
  /// Any thread: whether a shard takes it for one that closes silently.
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

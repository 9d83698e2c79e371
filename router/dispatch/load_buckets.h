#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "router/dispatch/replica.h"

namespace router::dispatch {

/// The replicas that may be chosen, in one bucket for each number of held slots, so that `pick` finds the least loaded without
/// a loop over all. One bit for each bucket says whether it has a replica: the search for the lowest checks 64 loads at a time.
/// Protected by the queue's mutex. Only `reserve` may fail: without memory for a bucket, a replica counts as less loaded.
class LoadBuckets {
 public:
  LoadBuckets();
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  /// Allocates room for `replicas` at each load up to `load_max`, at most kLoadsReserved; up to there, `insert` allocates
  /// nothing. Throws std::bad_alloc.
  void reserve(std::size_t replicas, std::size_t load_max);
  static constexpr std::size_t kLoadsReserved = 64;
  void insert(Replica& replica, std::size_t load) noexcept;
  void erase(Replica& replica) noexcept;
  /// False after any replica was counted as less loaded than it is.
  bool exact() const { return exact_; }
  /// One of the least loaded, at random. Must not be empty.
  Replica& pick() noexcept;

 private:
  std::size_t bucket_for(std::size_t load) noexcept;
  std::uint64_t random() noexcept;

  std::vector<std::vector<Replica*>> buckets_;  // index: load
  std::vector<std::uint64_t> occupied_;         // one bit for each bucket: not empty
  std::size_t first_word_ = 0;                  // no bit is set before this word
  std::size_t size_ = 0;
  bool exact_ = true;
  std::uint64_t random_state_;
};

}  // namespace router::dispatch

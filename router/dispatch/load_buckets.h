#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "router/dispatch/replica.h"

namespace router::dispatch {

/// The replicas that may be chosen, by the number of their held slots, so that the least loaded is found without looking at the
/// others. A bit for each bucket tells whether it holds any: the search for the lowest looks at 64 loads at a time.
/// Belongs to the queue's mutex. Only `reserve` may fail: a replica for whose load there is no memory counts as less loaded.
class LoadBuckets {
 public:
  LoadBuckets();
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  /// Before so many replicas are in it. For loads up to `load_max`, but no more than kLoadsReserved, nothing is allocated
  /// later. Throws std::bad_alloc.
  void reserve(std::size_t replicas, std::size_t load_max);
  static constexpr std::size_t kLoadsReserved = 64;
  void insert(Replica& replica, std::size_t load) noexcept;
  void erase(Replica& replica) noexcept;
  /// No replica was ever counted as less loaded than it is.
  bool exact() const { return exact_; }
  /// One of the least loaded, at random. Not while empty.
  Replica& pick() noexcept;

 private:
  std::size_t bucket_for(std::size_t load) noexcept;
  std::uint64_t random() noexcept;

  std::vector<std::vector<Replica*>> buckets_;  // index: load
  std::vector<std::uint64_t> occupied_;         // a bit for each bucket
  std::size_t first_word_ = 0;                  // no bit is set before this word
  std::size_t size_ = 0;
  bool exact_ = true;
  std::uint64_t random_state_;
};

}  // namespace router::dispatch

#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "router/dispatch/replica.h"

namespace router::dispatch {

/// The replicas that may be chosen, by the number of their leases, so that the least loaded is found without looking at the
/// others. A bit for each bucket tells whether it holds any: the search for the lowest looks at 64 loads at a time.
/// Belongs to the line's mutex.
class LoadBuckets {
 public:
  LoadBuckets();
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  void insert(Replica& replica, std::size_t load);
  void erase(Replica& replica);
  /// One of the least loaded, at random. Not while empty.
  Replica& pick();

 private:
  std::uint64_t random();

  std::vector<std::vector<Replica*>> buckets_;  // index: load
  std::vector<std::uint64_t> occupied_;         // a bit for each bucket
  std::size_t first_word_ = 0;                  // no bit is set before this word
  std::size_t size_ = 0;
  std::uint64_t random_state_;
};

}  // namespace router::dispatch

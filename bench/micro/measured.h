#pragma once

#include <benchmark/benchmark.h>

#include <cstddef>

namespace router::bench {

/// What this thread has taken from the heap since it began: malloc, new, and Asio's aligned_alloc.
std::size_t allocations();

/// Stands around the loop of a row, and nothing else. When it ends, the row has two more columns: `each`, the number of things
/// that an iteration does, and `allocations`, of one of them. Under callgrind it counts the instructions of the loop alone
/// (compare_libraries.py reads them).
class Measured {
 public:
  explicit Measured(benchmark::State& state, std::size_t each = 1);
  Measured(const Measured&) = delete;
  Measured& operator=(const Measured&) = delete;
  ~Measured();

 private:
  benchmark::State& state_;
  const std::size_t each_;
  const std::size_t before_;
};

}  // namespace router::bench

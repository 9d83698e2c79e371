#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "router/base/failure.h"

namespace router::metrics {

/// A number with one writer (its shard) and readers anywhere: a plain add, relaxed.
class Cell {
 public:
  void add(std::uint64_t by = 1) { value_.store(value_.load(std::memory_order_relaxed) + by, std::memory_order_relaxed); }
  void subtract(std::uint64_t by = 1) { add(~by + 1); }
  void set(std::uint64_t value) { value_.store(value, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

/// A histogram with one writer. `_count` is the sum of the buckets; the sum is kept in integer nanoseconds.
class Histogram {
 public:
  /// Upper bounds in nanoseconds, 50 µs … 300 s; the last bucket is +Inf.
  static constexpr std::array<std::uint64_t, 21> kBounds{
      50'000,        100'000,       250'000,        500'000,        1'000'000,      2'500'000,       5'000'000,
      10'000'000,    25'000'000,    50'000'000,     100'000'000,    250'000'000,    500'000'000,     1'000'000'000,
      2'500'000'000, 5'000'000'000, 10'000'000'000, 30'000'000'000, 60'000'000'000, 120'000'000'000, 300'000'000'000};
  void observe(std::chrono::nanoseconds duration);
  std::uint64_t bucket(std::size_t index) const { return buckets_[index].value(); }
  std::uint64_t sum_nanoseconds() const { return sum_.value(); }

 private:
  std::array<Cell, kBounds.size() + 1> buckets_;
  Cell sum_;
};

/// What one exchange came to, for the metrics.
struct ExchangeFigures {
  int status = 0;
  Reason reason = Reason::kNone;
  std::chrono::nanoseconds duration{};    // head complete … last byte handed to the kernel
  std::chrono::nanoseconds queue_wait{};  // observed only for exchanges that came as far as the line
  bool queued = false;
  std::chrono::nanoseconds first_byte{};  // request sent … response head; observed only if there was one
  bool answered = false;
  std::chrono::nanoseconds overhead{};  // duration without queue, pod and waiting for the client
  std::uint64_t request_bytes = 0;
  std::uint64_t response_bytes = 0;
};

/// The cells of one (endpoint, deployment) on one shard. A deployment of "" stands for exchanges that found none, an endpoint
/// of "" likewise.
class DeploymentCells {
 public:
  void exchange_finished(const ExchangeFigures& figures);
  // … the implementer's: requests by (status, reason), histograms, bytes; readable by the exposition
};

/// The cells of one shard that belong to no deployment.
struct ShardCells {
  Cell connections_total;
  Cell connections_active;
  Cell connections_refused;
  Cell handshakes_full;
  Cell handshakes_resumed;
  Cell handshakes_failed;
};

}  // namespace router::metrics

#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>

#include "router/base/failure.h"

/// What the data path counts. A cell has one writer, the shard that owns it; the control thread reads it at a scrape. Counting
/// is a plain add, without lookup, lock or contended cache line.
namespace router::metrics {

/// A number with one writer (its shard) and readers on any thread: a plain add, relaxed.
class Cell {
 public:
  void add(std::uint64_t by = 1) { value_.store(value_.load(std::memory_order_relaxed) + by, std::memory_order_relaxed); }
  void subtract(std::uint64_t by = 1) { add(~by + 1); }
  void set(std::uint64_t value) { value_.store(value, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

/// The upper bounds of all histograms, in nanoseconds, ascending. One more bucket follows that has no bound. Set at the start.
class Bounds {
 public:
  static constexpr std::size_t kMax = 40;  // each is a time series of each histogram of each deployment

  constexpr Bounds(std::initializer_list<std::uint64_t> bounds) {
    bounds_.fill(kNone);
    for (const std::uint64_t bound : bounds) bounds_[size_++] = bound;
  }
  /// `bounds` has at most kMax elements.
  explicit Bounds(std::span<const std::chrono::nanoseconds> bounds);

  /// The index of the first bound that is not below `nanoseconds` (`le`: a bound includes its own value), or `size()`. Has no
  /// branches, since durations cannot be predicted.
  std::size_t bucket_of(std::uint64_t nanoseconds) const { return bucket_from<kPadded / 2>(0, nanoseconds); }

  const std::uint64_t* begin() const { return bounds_.data(); }
  const std::uint64_t* end() const { return bounds_.data() + size_; }
  std::size_t size() const { return size_; }
  std::uint64_t operator[](std::size_t index) const { return bounds_[index]; }

 private:
  static constexpr std::size_t kPadded = 64;  // a power of two, for the search
  static constexpr std::uint64_t kNone = ~std::uint64_t{0};

  /// Unrolled by the template: GCC compiles a loop of these steps to branches.
  template <std::size_t step>
  std::size_t bucket_from(std::size_t below, std::uint64_t nanoseconds) const {
    below += step * static_cast<std::size_t>(bounds_[below + step - 1] < nanoseconds);
    if constexpr (step > 1) return bucket_from<step / 2>(below, nanoseconds);
    return below;
  }

  std::array<std::uint64_t, kPadded> bounds_{};
  std::size_t size_ = 0;
};

/// 50 µs … 1 h.
inline constexpr Bounds kDefaultBounds{50'000,          100'000,         250'000,           500'000,          1'000'000,
                                       2'500'000,       5'000'000,       10'000'000,        25'000'000,       50'000'000,
                                       100'000'000,     250'000'000,     500'000'000,       1'000'000'000,    2'500'000'000,
                                       5'000'000'000,   10'000'000'000,  30'000'000'000,    60'000'000'000,   120'000'000'000,
                                       300'000'000'000, 600'000'000'000, 1'800'000'000'000, 3'600'000'000'000};

/// A histogram with one writer. `_count` is the sum of the buckets; the sum is kept in integer nanoseconds.
class Histogram {
 public:
  /// To be called before the first observation. `bounds` must outlive this.
  void use(const Bounds& bounds) { bounds_ = &bounds; }
  /// A negative duration (steps measured in another order than they happened) counts as zero.
  void observe(std::chrono::nanoseconds duration);
  /// `index` is 0 … the number of bounds.
  std::uint64_t bucket(std::size_t index) const { return buckets_[index].value(); }
  std::uint64_t sum_nanoseconds() const { return sum_.value(); }

 private:
  const Bounds* bounds_ = &kDefaultBounds;
  Cell sum_;
  std::array<Cell, Bounds::kMax + 1> buckets_;
};

/// Counts responses by status. One writer. Memory for a hundred statuses (200 … 299) is allocated with the first of them, so a
/// deployment that always succeeds needs 800 bytes, and counting is two array accesses.
class StatusCells {
 public:
  StatusCells() = default;
  StatusCells(const StatusCells&) = delete;
  StatusCells& operator=(const StatusCells&) = delete;
  ~StatusCells();

  /// A number that is no HTTP status (100 … 599), or for which there is no memory, is counted as kOther.
  void count(int status);
  static constexpr int kOther = 0;

  /// Calls `visit(status, times)` for each status that was counted. Any thread.
  template <class Visit>
  void each(const Visit& visit) const {
    if (const std::uint64_t times = other_.value(); times > 0) visit(kOther, times);
    for (std::size_t hundred = 0; hundred < blocks_.size(); ++hundred) {
      const Block* block = blocks_[hundred].load(std::memory_order_acquire);
      if (block == nullptr) continue;
      for (std::size_t rest = 0; rest < block->size(); ++rest) {
        if (const std::uint64_t times = (*block)[rest].value(); times > 0)
          visit(static_cast<int>(kFirst + hundred * 100 + rest), times);
      }
    }
  }

 private:
  static constexpr std::size_t kFirst = 100;
  using Block = std::array<Cell, 100>;
  std::array<std::atomic<Block*>, 5> blocks_{};
  Cell other_;
};

/// The result of one exchange, for the metrics.
struct ExchangeFigures {
  int status = 0;
  Reason reason = Reason::kNone;
  std::chrono::nanoseconds duration{};    // head complete … last byte handed to the kernel
  std::chrono::nanoseconds queue_wait{};  // observed only for exchanges that reached the queue
  bool queued = false;
  std::chrono::nanoseconds first_byte{};  // request sent … response head; observed only if the head came
  bool answered = false;
  std::chrono::nanoseconds overhead{};  // duration without queue, pod and waiting for the client
  bool refused_retried = false;         // another attempt was made after a connection that was refused,
  bool connect_retried = false;         // could not be made for another reason,
  bool stale_retried = false;           // or had ended before it was used
  bool abort_unnoticed = false;         // aborted, and the pod did not close its side in time
  std::uint64_t request_bytes = 0;
  std::uint64_t response_bytes = 0;
};

/// Why a request got a new connection although an idle one was in its slot.
enum class FreshReason : std::uint8_t {
  kAfterError,      // the last answer was a 5xx, just now: the server may be about to close
  kClosesSilently,  // the replica closes after its answers without announcing it
};
inline constexpr std::size_t kFreshReasonCount = static_cast<std::size_t>(FreshReason::kClosesSilently) + 1;
const char* name_of(FreshReason reason);

/// The cells of one (endpoint, deployment) on one shard. The deployment is "" for exchanges that found none, and so is the
/// endpoint. On cache lines of its own, since its neighbour has another writer.
class alignas(64) DeploymentCells {
 public:
  /// Sets the bounds of all histograms, before anything is counted. They must outlive this.
  void use(const Bounds& bounds);
  /// The shard calls this once for each exchange.
  void exchange_finished(const ExchangeFigures& figures);
  /// Only what concerns the pods: another router counts the exchange, and this one had the pod.
  void attempts_finished(const ExchangeFigures& figures);
  /// A request was admitted, that no other router has sent on.
  void arrived() { arrivals_.add(); }
  /// A request was refused for want of capacity, and told to come back after so long.
  void refused(std::chrono::seconds told) {
    refusals_.add();
    told_seconds_.add(static_cast<std::uint64_t>(told.count()));
  }
  void connection_replaced(FreshReason reason) { fresh_connections_[static_cast<std::size_t>(reason)].add(); }

  // For the exposition, any thread.
  const StatusCells& requests(Reason reason) const { return requests_[static_cast<std::size_t>(reason)]; }
  const Histogram& duration() const { return duration_; }
  const Histogram& overhead() const { return overhead_; }
  const Histogram& queue_wait() const { return queue_wait_; }
  const Histogram& first_byte() const { return first_byte_; }
  std::uint64_t arrivals() const { return arrivals_.value(); }
  std::uint64_t refusals() const { return refusals_.value(); }
  std::uint64_t told_seconds() const { return told_seconds_.value(); }
  std::uint64_t request_bytes() const { return request_bytes_.value(); }
  std::uint64_t response_bytes() const { return response_bytes_.value(); }
  std::uint64_t refused_retries() const { return refused_retries_.value(); }
  std::uint64_t connect_retries() const { return connect_retries_.value(); }
  std::uint64_t stale_retries() const { return stale_retries_.value(); }
  std::uint64_t aborts_unnoticed() const { return aborts_unnoticed_.value(); }
  std::uint64_t fresh_connections(FreshReason reason) const {
    return fresh_connections_[static_cast<std::size_t>(reason)].value();
  }

 private:
  std::array<StatusCells, kReasonCount> requests_;
  Histogram duration_;
  Histogram overhead_;
  Histogram queue_wait_;
  Histogram first_byte_;
  Cell arrivals_;
  Cell refusals_;      // for want of capacity
  Cell told_seconds_;  // the sum of their Retry-After
  Cell request_bytes_;
  Cell response_bytes_;
  Cell refused_retries_;
  Cell connect_retries_;
  Cell stale_retries_;
  Cell aborts_unnoticed_;
  std::array<Cell, kFreshReasonCount> fresh_connections_;
};

/// What happened to a copy for a mirrored deployment. `name_of` is its value in the metric's label.
enum class MirrorResult : std::uint8_t {
  kAnswered,    // sent, and answered completely, with any status
  kFailed,      // the pod failed, before the copy was sent or after
  kNoSlot,      // no slot was free, or an exchange waited
  kTooLarge,    // larger than a copy may be
  kNoMemory,    // larger than all copies together may be, or no memory
  kIncomplete,  // the live request never became complete
};
inline constexpr std::size_t kMirrorResultCount = static_cast<std::size_t>(MirrorResult::kIncomplete) + 1;
const char* name_of(MirrorResult result);

/// What happened to a request for whose namespace another router of the fleet is home.
enum class SentOnResult : std::uint8_t {
  kAnswered,  // by a pod, through the home
  kHere,      // this router became home before that: it went on here
  kFailed,    // refused by the home, or ended in another way
};
inline constexpr std::size_t kSentOnResultCount = static_cast<std::size_t>(SentOnResult::kFailed) + 1;
const char* name_of(SentOnResult result);

/// The cells of one shard that belong to no deployment.
struct alignas(64) ShardCells {
  Cell connections_total;
  Cell connections_active;
  Cell connections_refused;
  Cell connections_displaced;
  Cell handshakes_full;
  Cell handshakes_resumed;
  Cell handshakes_failed;
  std::array<Cell, kMirrorResultCount> mirrored;
  std::array<Cell, kSentOnResultCount> sent_on;
};

}  // namespace router::metrics

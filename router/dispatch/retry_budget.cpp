#include "router/dispatch/retry_budget.h"

#include <algorithm>

namespace router::dispatch {

/// Drops the seconds that have left the window and returns the current one. `now` may be slightly earlier than in the last
/// call, since each shard reads the clock before it locks the mutex.
RetryBudget::Second& RetryBudget::advance(TimePoint now) {
  const std::int64_t second =
      std::max(newest_, std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count());
  const std::int64_t passed = std::min<std::int64_t>(second - newest_, kSeconds);
  for (std::int64_t step = 1; step <= passed; ++step) {
    Second& old = seconds_[static_cast<std::size_t>((second - passed + step) % static_cast<std::int64_t>(kSeconds))];
    requests_ -= old.requests;
    retries_ -= old.retries;
    old = {};
  }
  newest_ = second;
  return seconds_[static_cast<std::size_t>(second % static_cast<std::int64_t>(kSeconds))];
}

void RetryBudget::count_request(TimePoint now) {
  ++advance(now).requests;
  ++requests_;
}

bool RetryBudget::take(TimePoint now) {
  Second& present = advance(now);
  const std::uint64_t allowed = (requests_ * kPercent + 99) / 100;
  if (retries_ >= allowed) return false;
  ++present.retries;
  ++retries_;
  return true;
}

}  // namespace router::dispatch

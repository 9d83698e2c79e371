#include "router/metrics/cells.h"

#include <algorithm>

namespace router::metrics {

void Histogram::observe(std::chrono::nanoseconds duration) {
  const auto nanoseconds = static_cast<std::uint64_t>(std::max<std::int64_t>(duration.count(), 0));
  const auto bound = std::lower_bound(kBounds.begin(), kBounds.end(), nanoseconds);  // `le`: a bound holds its own value
  buckets_[static_cast<std::size_t>(bound - kBounds.begin())].add();
  sum_.add(nanoseconds);
}

StatusCells::~StatusCells() {
  for (std::atomic<Block*>& block : blocks_) delete block.load(std::memory_order_relaxed);
}

void StatusCells::count(int status) {
  const std::size_t index = static_cast<std::size_t>(status) - kFirst;  // what is below wraps round, far above
  if (index >= blocks_.size() * 100) return other_.add();
  std::atomic<Block*>& place = blocks_[index / 100];
  Block* block = place.load(std::memory_order_relaxed);  // only this thread ever sets it
  if (block == nullptr) {
    block = new Block;
    place.store(block, std::memory_order_release);
  }
  (*block)[index % 100].add();
}

const char* name_of(MirrorResult result) {
  switch (result) {
    case MirrorResult::kAnswered: return "answered";
    case MirrorResult::kFailed: return "failed";
    case MirrorResult::kNoSlot: return "no_slot";
    case MirrorResult::kTooLarge: return "too_large";
    case MirrorResult::kNoMemory: return "no_memory";
    case MirrorResult::kIncomplete: return "incomplete";
  }
  return "";
}

void DeploymentCells::exchange_finished(const ExchangeFigures& figures) {
  requests_[static_cast<std::size_t>(figures.reason)].count(figures.status);
  duration_.observe(figures.duration);
  overhead_.observe(figures.overhead);
  if (figures.queued) queue_wait_.observe(figures.queue_wait);
  if (figures.answered) first_byte_.observe(figures.first_byte);
  request_bytes_.add(figures.request_bytes);
  response_bytes_.add(figures.response_bytes);
  refused_retries_.add(figures.refused_retried ? 1 : 0);
  connect_retries_.add(figures.connect_retried ? 1 : 0);
  stale_retries_.add(figures.stale_retried ? 1 : 0);
}

}  // namespace router::metrics

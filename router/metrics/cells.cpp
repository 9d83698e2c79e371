#include "router/metrics/cells.h"

#include <algorithm>
#include <new>

#include "router/base/assert.h"

namespace router::metrics {

Bounds::Bounds(std::span<const std::chrono::nanoseconds> bounds) {
  ROUTER_ASSERT(bounds.size() <= kMax);
  bounds_.fill(kNone);
  for (const std::chrono::nanoseconds bound : bounds) bounds_[size_++] = static_cast<std::uint64_t>(bound.count());
}

void Histogram::observe(std::chrono::nanoseconds duration) {
  const auto nanoseconds = static_cast<std::uint64_t>(std::max<std::int64_t>(duration.count(), 0));
  buckets_[bounds_->bucket_of(nanoseconds)].add();
  sum_.add(nanoseconds);
}

StatusCells::~StatusCells() {
  for (std::atomic<Block*>& block : blocks_) delete block.load(std::memory_order_relaxed);
}

void StatusCells::count(int status) {
  const std::size_t index = static_cast<std::size_t>(status) - kFirst;  // a smaller status wraps round to a large index
  if (index >= blocks_.size() * 100) return other_.add();
  std::atomic<Block*>& place = blocks_[index / 100];
  Block* block = place.load(std::memory_order_relaxed);  // only this thread sets it
  if (block == nullptr) {
    block = new (std::nothrow) Block;
    if (block == nullptr) return other_.add();
    place.store(block, std::memory_order_release);
  }
  (*block)[index % 100].add();
}

const char* name_of(SentOnResult result) {
  switch (result) {
    case SentOnResult::kAnswered: return "answered";
    case SentOnResult::kHere: return "here";
    case SentOnResult::kFailed: return "failed";
  }
  return "";
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

const char* name_of(FreshReason reason) {
  switch (reason) {
    case FreshReason::kAfterError: return "after_5xx";
    case FreshReason::kClosesSilently: return "closes_silently";
  }
  return "";
}

void DeploymentCells::use(const Bounds& bounds) {
  for (Histogram* each : {&duration_, &overhead_, &queue_wait_, &first_byte_}) each->use(bounds);
}

void DeploymentCells::exchange_finished(const ExchangeFigures& figures) {
  requests_[static_cast<std::size_t>(figures.reason)].count(figures.status);
  duration_.observe(figures.duration);
  overhead_.observe(figures.overhead);
  if (figures.queued) queue_wait_.observe(figures.queue_wait);
  if (figures.answered) first_byte_.observe(figures.first_byte);
  request_bytes_.add(figures.request_bytes);
  response_bytes_.add(figures.response_bytes);
  attempts_finished(figures);
}

void DeploymentCells::attempts_finished(const ExchangeFigures& figures) {
  refused_retries_.add(figures.refused_retried ? 1 : 0);
  connect_retries_.add(figures.connect_retried ? 1 : 0);
  stale_retries_.add(figures.stale_retried ? 1 : 0);
  if (figures.abort_unnoticed) aborts_unnoticed_.add();
}

}  // namespace router::metrics

#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>

namespace router::dispatch {

/// Counts the connections to one pod that are open although no slot counts them: those retired from a slot until their shard
/// has closed them, and the idle ones of replicas without limit. Only in a fleet, where another router waits for the moment at
/// which the pod has none of them left. The pod and the connections own it. Any thread; relaxed, since each change that
/// matters to `PodSlots::busy` is made before or after the pod's mutex is held.
class LooseConnections {
 public:
  std::size_t count() const noexcept { return count_.load(std::memory_order_relaxed); }

 private:
  friend class LooseConnection;
  std::atomic<std::size_t> count_{0};
};

/// Counts its connection as long as it exists. Empty: nothing is counted. Move-only. Any thread.
class LooseConnection {
 public:
  LooseConnection() = default;
  explicit LooseConnection(std::shared_ptr<LooseConnections> among) noexcept : among_(std::move(among)) {
    if (among_ != nullptr) among_->count_.fetch_add(1, std::memory_order_relaxed);
  }
  LooseConnection(LooseConnection&& other) noexcept = default;
  LooseConnection& operator=(LooseConnection&& other) noexcept {
    std::swap(among_, other.among_);
    return *this;
  }
  ~LooseConnection() { end(); }
  void end() noexcept {
    if (among_ == nullptr) return;
    among_->count_.fetch_sub(1, std::memory_order_relaxed);
    among_.reset();
  }

 private:
  std::shared_ptr<LooseConnections> among_;
};

}  // namespace router::dispatch

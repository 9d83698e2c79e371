#pragma once

#include "router/base/assert.h"

#ifdef ROUTER_CHECKS
#include <atomic>
#include <thread>
#endif

namespace router::runtime {

/// The thread that runs a shard. Objects of a shard (sockets, timers, buffers, views) assert that they are used on that thread,
/// or while no thread runs the shard. Does nothing in builds without checks.
class ShardLocal {
 public:
  ShardLocal() = default;
  ShardLocal(const ShardLocal&) = delete;
  ShardLocal& operator=(const ShardLocal&) = delete;

#ifdef ROUTER_CHECKS
  bool is_here() const {
    const std::thread::id owner = owner_.load(std::memory_order_relaxed);
    return owner == std::thread::id() || owner == std::this_thread::get_id();
  }
  void run_here() { owner_.store(std::this_thread::get_id(), std::memory_order_relaxed); }
  void run_nowhere() { owner_.store(std::thread::id(), std::memory_order_relaxed); }

 private:
  std::atomic<std::thread::id> owner_;
#else
  bool is_here() const { return true; }
  void run_here() {}
  void run_nowhere() {}
#endif
};

}  // namespace router::runtime

#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "router/runtime/shard.h"

namespace router::runtime {

/// How many data threads this process should run: the cores it may use, bounded by the CPU quota of its cgroup, at least 1.
std::size_t default_shard_count();

/// The data threads. Made, started and joined by the control thread.
class ShardSet {
 public:
  ShardSet(std::size_t count, const Clock& clock);
  ~ShardSet() { join(); }

  void start();
  /// Stops the loops and waits for the threads.
  void join();

  std::size_t size() const { return shards_.size(); }
  Shard& operator[](std::size_t index) { return *shards_[index]; }
  /// Runs `work` once on every shard, from its loop.
  void post_to_all(const std::function<void(Shard&)>& work);

 private:
  std::vector<std::unique_ptr<Shard>> shards_;
  std::vector<std::thread> threads_;
};

}  // namespace router::runtime

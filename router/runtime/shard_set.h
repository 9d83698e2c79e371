#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "router/runtime/shard.h"

namespace router::runtime {

/// How many data threads this process should run: the cores it may use, bounded by the CPU quota of its cgroup, at least 1.
std::size_t default_shard_count();

/// The data threads. Made, started and joined by the control thread.
class ShardSet {
 public:
  ShardSet(std::size_t count, const Clock& clock);
  /// Joins and closes.
  ~ShardSet();

  void start();
  /// Stops the loops and waits for the threads.
  void join();
  /// After that: drops what the shards have sent to each other and not run, and whatever is sent to them from now on.
  void close() noexcept;

  std::size_t size() const { return shards_.size(); }
  Shard& operator[](std::size_t index) { return *shards_[index]; }
  /// Work for every shard, with all the memory that it needs to be sent.
  class ForAll {
   public:
    void send() noexcept;

   private:
    friend class ShardSet;
    std::vector<std::pair<Shard*, std::unique_ptr<Message>>> messages_;
  };
  /// `work` runs once on every shard, from its loop, when the result is sent. Throws std::bad_alloc, and has done nothing then.
  ForAll prepare_for_all(const std::function<void(Shard&)>& work);
  /// At once: on every shard, or, if it throws, on none.
  void post_to_all(const std::function<void(Shard&)>& work) { prepare_for_all(work).send(); }

 private:
  std::vector<std::unique_ptr<Shard>> shards_;
  std::vector<std::thread> threads_;
};

}  // namespace router::runtime

#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "router/runtime/shard.h"

namespace router::runtime {

/// The default number of data threads: the cores that the process may use, bounded by the CPU quota of its cgroup, at least 1.
std::size_t default_shard_count();

/// The data threads; or, as a set of one, the fleet's thread. Made, started and joined by the control thread.
class ShardSet {
 public:
  /// `name` is a literal: that of the threads, with their number behind it (`shard-0`), at most 11 bytes.
  ShardSet(std::size_t count, const Clock& clock, const char* name = "shard");
  /// Calls `join` and `close`.
  ~ShardSet();

  void start();
  /// Stops the event loops and waits for the threads.
  void join();
  /// After `join`: drops the messages that the shards have not run, and every message that is sent to them later.
  void close() noexcept;

  std::size_t size() const { return shards_.size(); }
  Shard& operator[](std::size_t index) { return *shards_[index]; }
  /// Work for every shard, with all memory that sending it needs.
  class ForAll {
   public:
    void send() noexcept;

   private:
    friend class ShardSet;
    std::vector<std::pair<Shard*, std::unique_ptr<Message>>> messages_;
  };
  /// When the result is sent, `work` runs once on every shard, from its event loop. If it throws std::bad_alloc, nothing has
  /// changed.
  ForAll prepare_for_all(const std::function<void(Shard&)>& work);
  /// Sends `work` at once: to every shard or, if it throws, to none.
  void post_to_all(const std::function<void(Shard&)>& work) { prepare_for_all(work).send(); }

 private:
  const char* const name_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::vector<std::thread> threads_;
};

}  // namespace router::runtime

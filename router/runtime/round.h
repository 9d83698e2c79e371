#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "router/runtime/shard_set.h"

namespace router::runtime {

/// Runs `on_each` on every shard, then `after_all` on the control thread when all shards have finished. The constructor takes
/// all the memory, so `begin` cannot fail, and `after_all` is always called: an exception on a shard is only logged. Control
/// thread; not destroyed during a round, unless the shards have stopped.
class Round {
 public:
  Round(Shard& control, ShardSet& shards, std::function<void(Shard&)> on_each, std::function<void()> after_all);
  Round(const Round&) = delete;
  Round& operator=(const Round&) = delete;
  ~Round();

  /// Starts a round; not during one. `after_all` may call it.
  void begin() noexcept;
  bool under_way() const { return left_ > 0; }

 private:
  class Visit;
  void came_back();

  Shard& control_;
  ShardSet& shards_;
  const std::function<void(Shard&)> on_each_;
  const std::function<void()> after_all_;
  std::size_t left_ = 0;  // shards that have not answered
  std::vector<std::unique_ptr<Visit>> visits_;
};

}  // namespace router::runtime

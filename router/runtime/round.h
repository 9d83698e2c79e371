#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "router/runtime/shard_set.h"

namespace router::runtime {

/// Something that is done on every shard, and something that is done on the control thread when all shards have done it. The
/// memory that it needs is taken by the constructor, so beginning it cannot fail, and an end is always told: an exception on a
/// shard is told in the log. Control thread; not destroyed while under way, unless the shards do not run any more.
class Round {
 public:
  Round(Shard& control, ShardSet& shards, std::function<void(Shard&)> on_each, std::function<void()> after_all);
  Round(const Round&) = delete;
  Round& operator=(const Round&) = delete;
  ~Round();

  /// Not while it is under way. May be called by `after_all`.
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

#pragma once

#include <algorithm>
#include <chrono>

#include "router/runtime/shard.h"

namespace router::kubernetes {

/// The pause before the next attempt: a random time between zero and a limit. The limit doubles with each failure in a row,
/// from kFirst to kMost. The pause is random over the whole range, so that many routers do not try again at the same moment.
class BackOff {
 public:
  static constexpr std::chrono::milliseconds kFirst{100};
  static constexpr std::chrono::milliseconds kMost{2000};

  explicit BackOff(runtime::Shard& shard) : shard_(shard) {}

  Duration next() {
    const auto range = static_cast<std::uint64_t>(limit_.count()) + 1;
    limit_ = std::min(limit_ * 2, kMost);
    return std::chrono::milliseconds(shard_.random() % range);
  }
  void reset() { limit_ = kFirst; }

 private:
  runtime::Shard& shard_;
  std::chrono::milliseconds limit_ = kFirst;
};

}  // namespace router::kubernetes

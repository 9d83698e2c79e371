#include "router/dispatch/membership.h"

#include <exception>

#include "router/runtime/contain.h"

namespace router::dispatch {

void Membership::cut(const runtime::Shard& shard) noexcept {
  Runs now;  // an exchange that is woken may end, end others, or begin again under a new coverage
  now.swap(running_[shard.index()].runs);
  while (!now.empty()) {
    CoveredRun& run = now.front();
    now.pop_front();
    run.cut_ = true;
    try {
      run.wakeup_.wake();
    } catch (const std::exception& error) {
      runtime::contain(error);
    }
  }
}

void Membership::cut_all(const std::shared_ptr<Membership>& membership, runtime::ShardSet& shards) {
  shards.post_to_all([membership](const runtime::Shard& shard) { membership->cut(shard); });
}

}  // namespace router::dispatch

#pragma once

#include <boost/intrusive/list.hpp>
#include <cstddef>
#include <memory>
#include <vector>

#include "router/dispatch/coverage.h"
#include "router/runtime/shard_set.h"
#include "router/runtime/wakeup.h"

namespace router::dispatch {

/// An exchange that was begun at a pod of a limited deployment while this process was covered. Belongs to its shard.
class CoveredRun : public boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
 public:
  explicit CoveredRun(runtime::Wakeup& wakeup) : wakeup_(wakeup) {}
  CoveredRun(const CoveredRun&) = delete;
  CoveredRun& operator=(const CoveredRun&) = delete;
  /// The exchange must end now: this process is covered no more, and another one may soon begin exchanges at the pod.
  bool cut() const { return cut_; }

 private:
  friend class Membership;
  runtime::Wakeup& wakeup_;
  bool cut_ = false;
};

/// What the pods of a process that is a member of a fleet have in common: the coverage, and what runs under it. One object for
/// the process; a router without a fleet has none, and its pods contain nullptr in its place.
/// Threads: see Coverage. `add` and `cut` on the shard concerned, `cut_all` on any thread.
class Membership {
 public:
  explicit Membership(std::size_t shards, Coverage::ReadClock clock = Coverage::boot_time)
      : coverage_(clock), running_(shards) {}
  Membership(const Membership&) = delete;
  Membership& operator=(const Membership&) = delete;

  Coverage& coverage() { return coverage_; }
  const Coverage& coverage() const { return coverage_; }

  /// Registers `run` until it is destroyed or cut.
  void add(CoveredRun& run) noexcept { running_[run.wakeup_.shard().index()].runs.push_back(run); }
  /// On the shard's event loop, not inside a coroutine: tells every exchange that runs now that it must end, and wakes it.
  void cut(const runtime::Shard& shard) noexcept;
  /// Calls `cut` on every shard: the process has not been covered for the fleet's grace. Throws std::bad_alloc, and has then
  /// changed nothing.
  static void cut_all(const std::shared_ptr<Membership>& membership, runtime::ShardSet& shards);

 private:
  using Runs = boost::intrusive::list<CoveredRun, boost::intrusive::constant_time_size<false>>;
  struct alignas(64) Running {
    Runs runs;
  };

  Coverage coverage_;
  std::vector<Running> running_;  // by shard
};

}  // namespace router::dispatch

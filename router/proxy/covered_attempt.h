#pragma once

#include "router/dispatch/membership.h"
#include "router/stream/cancellation.h"

namespace router::proxy {

inline Failure uncovered() {
  return Failure::internal(Reason::kFleetUncovered, "the router has lost touch with the other routers of its fleet");
}

/// What an attempt at a pod of a limited deployment needs in a fleet: the check that it may begin, and the end of what runs
/// when this process has not been covered for too long. As a Cancellation it adds that end to the exchange's own. One shard.
class CoveredAttempt final : public stream::Cancellation {
 public:
  CoveredAttempt(dispatch::Membership& membership, runtime::Wakeup& wakeup, stream::Cancellation& exchange)
      : membership_(membership), exchange_(exchange), run_(wakeup) {
    membership_.add(run_);
  }

  /// Reads the clock: call it just before something is begun at the pod.
  bool may_begin() const { return !run_.cut() && membership_.coverage().covers_now(); }
  bool cut() const { return run_.cut(); }

  Result<void> still_wanted() override { return cut() ? uncovered() : exchange_.still_wanted(); }
  Result<void> may_take_slot() const override { return cut() ? uncovered() : exchange_.may_take_slot(); }
  Deadline ask_again(TimePoint now) const override { return exchange_.ask_again(now); }

 private:
  dispatch::Membership& membership_;
  stream::Cancellation& exchange_;
  dispatch::CoveredRun run_;
};

}  // namespace router::proxy

#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "router/base/result.h"
#include "router/base/task.h"
#include "router/dispatch/request_queue.h"
#include "router/proxy/covered_attempt.h"
#include "router/runtime/wakeup.h"
#include "router/stream/cancellation.h"
#include "router/upstream/exchange.h"
#include "router/upstream/replica.h"

namespace router::proxy {

/// One try of a request at a replica, from the slot to the moment at which the slot is given back. The attempt alone gives it
/// back, with the report on the replica, on every way out: at once where the connection can be used again, else when the pod
/// has closed the connection, at the latest `abort_wait_ms` after the router has shut down its side (contract, section 5). An
/// exchange that makes a second attempt uses the same object again. One shard.
class Attempt {
 public:
  enum class State : std::uint8_t {
    kNone,       // no slot
    kHeld,       // holds a slot
    kOpen,       // has a connection; nothing of the request was handed to it
    kSending,    // the request's head was handed over
    kAnswering,  // the response's head has arrived
    kSettling,   // the pod is asked to close the connection; the slot is held until it has
    kSettled,    // the slot was given back
  };

  explicit Attempt(runtime::Shard& shard) : shard_(shard) {}
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;

  State state() const { return state_; }
  /// The response has arrived completely, or the attempt was given up. What is left concerns the pod alone.
  bool over() const { return state_ >= State::kSettling; }
  /// There is nothing left to do: the slot was given back, or there never was one.
  bool settled() const { return state_ == State::kSettled || state_ == State::kNone; }

  /// kNone or kSettled → kHeld.
  void hold(dispatch::HeldSlot slot);
  /// kHeld → kNone. Gives the slot back, for another attempt elsewhere. Returns the position in the queue that the request had.
  /// In kNone, after `open` was cut, the slot is given back by another shard; the request keeps its position all the same.
  dispatch::QueuePosition give_slot_up();
  /// kHeld → kOpen. Suspends. Fails as `upstream::open` does: then the slot stays here, or is given back by another shard
  /// (kNone). Fails with fleet_uncovered, and has sent nothing, if the process may not begin an exchange at the pod now.
  Task<Result<void>> open(upstream::OpenOptions options, runtime::Wakeup& wakeup, stream::Cancellation& cancellation);
  /// kOpen → kSending.
  upstream::UpstreamExchange& begin_sending();
  /// The last byte of the request was handed to the kernel.
  void note_sent(TimePoint now) { sent_ = now; }
  TimePoint sent() const { return sent_; }
  /// kSending → kAnswering. `sheds_until`: ReplicaReport's.
  void begin_answering(TimePoint sheds_until);
  /// kSending or kAnswering → kSettled or kSettling, as the connection allows: the response is complete.
  void finish();
  /// The same, and the report says that the replica has answered.
  void succeed();
  /// kSending → kHeld: the pod has seen nothing of the request. The next connection is a new one, under the same slot.
  void start_over();
  /// Reports the failure, if the replica is to blame for it. The state stays.
  void blame_replica_for(const Failure& failure);
  void report_failed() { slot_.report().outcome = dispatch::ReplicaReport::Outcome::kFailed; }
  /// kOpen to kAnswering → kSettling; kHeld → kSettled; does nothing in any other state.
  void give_up();

  /// kSettling: how far the pod has come. kMoved: call again at once; kBlocked: after `arm`; kEnded: kSettled. kEnded too in
  /// any other state.
  stream::Progress settle();
  /// kSettling: wakes the exchange when the pod has done something.
  void arm();
  /// When `settle` ends the connection whatever the pod does; kNever in any other state than kSettling.
  Deadline settles_by() const { return settles_by_; }
  /// The pod did not close its side in time: it may still be at work.
  bool outlived() const { return outlived_; }

  /// The request must end although it is not complete, because the process is not covered any more.
  bool cut() const { return covered_ && covered_->cut() && !over(); }
  /// `exchange`, or what adds to it that the attempt is cut.
  stream::Cancellation& unless_cut(stream::Cancellation& exchange) {
    return covered_ ? static_cast<stream::Cancellation&>(*covered_) : exchange;
  }

  /// From kOpen to kSettling.
  upstream::UpstreamExchange& upstream() { return *upstream_; }
  /// From kHeld to kSettling.
  upstream::Replica& replica() const { return upstream::replica_of(slot_); }

 private:
  void end(upstream::Leaving how);
  void give_slot_back();

  runtime::Shard& shard_;
  State state_ = State::kNone;
  bool fresh_ = false;  // the next connection must be a new one
  bool outlived_ = false;
  std::uint64_t ticket_ = 0;  // of the slot, in a fleet: `open` may leave the slot to another shard
  TimePoint sent_{};
  Duration abort_wait_{};
  Deadline settles_by_ = kNever;
  dispatch::HeldSlot slot_;
  std::optional<CoveredAttempt> covered_;  // in a fleet, at a pod with a limit, from the opening until the slot is given back
  std::unique_ptr<upstream::UpstreamExchange> upstream_;  // destroyed before the slot is given back
};

}  // namespace router::proxy

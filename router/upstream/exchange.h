#pragma once

#include <cerrno>
#include <chrono>
#include <memory>
#include <string_view>

#include "router/base/result.h"
#include "router/base/task.h"
#include "router/dispatch/request_queue.h"
#include "router/http/head.h"
#include "router/metrics/cells.h"
#include "router/runtime/wakeup.h"
#include "router/stream/cancellation.h"
#include "router/stream/leaving.h"
#include "router/stream/request_sink.h"
#include "router/stream/response_source.h"

namespace router::upstream {

/// Whether a request may be sent again after a reused connection ended without a byte of the answer (contract, section 6).
enum class Unseen {
  kNo,       // the pod may have acted
  kAssumed,  // GET or HEAD: needs no proof, but goes to the same replica only, since it may be what ended it
  kProved,   // the pod has received nothing of it
};

using stream::Leaving;

/// One request and its response on the replica's side, in any protocol version. It runs in a slot that its attempt holds and
/// gives back. No function suspends: each does what is possible now; `arm_read` and `arm_write` wake the exchange when more is
/// possible.
class UpstreamExchange : public stream::RequestSink, public stream::ResponseSource {
 public:
  virtual ~UpstreamExchange() = default;

  /// Whether an earlier exchange used the same connection.
  bool reused() const { return reused_; }
  /// Whether the exchange waited for the pod before it could use the connection: for its accept, or its close of the old one.
  bool waited() const { return waited_; }

  /// Sends what the request sink has gathered. Fails with upstream_reset.
  virtual Result<void> flush() = 0;
  /// Whether the replica takes nothing more for now.
  virtual bool blocked() const = 0;
  /// Whether the whole request, with body and trailers, was passed to the kernel.
  virtual bool request_sent() const = 0;
  /// Wakes the exchange when a blocked replica takes more, or has ended.
  virtual void arm_write() = 0;

  /// After upstream_reset: whether the request may be sent again.
  virtual Unseen ended_unseen() const = 0;
  /// Once the response is complete: kReusable, or kClose if the request was not sent or the pod closes the connection after it.
  /// The slot is held until that close, so that the pod never has two connections for one slot.
  virtual Leaving leaving() const = 0;
  /// Ends the exchange. kReusable and kReset end it at once, with kEnded. kClose begins with the first call; each further one
  /// drops what has arrived: kBlocked: call `arm_read`, wait, call again; kMoved: call again; kEnded: the pod has closed.
  /// kReset may follow kClose.
  virtual stream::Progress leave(Leaving how) = 0;

 protected:
  UpstreamExchange(bool reused, bool waited) : reused_(reused), waited_(waited) {}

 private:
  const bool reused_;
  const bool waited_;
};

/// Whether a failure counts against the replica: it could not be reached, broke the connection, or did not answer in time
/// (contract, section 7). An answer that is not HTTP does not count; the readiness probe finds such a replica.
constexpr bool blames_replica(const Failure& failure) {
  return failure.origin == Origin::kUpstream &&
         (failure.reason == Reason::kUpstreamConnectFailed || failure.reason == Reason::kUpstreamReset ||
          failure.reason == Reason::kUpstreamTimeout);
}

/// Whether the replica's kernel refused the connection (contract, section 6): no exchange can reach it, and it has received
/// nothing.
constexpr bool is_refusal(const Failure& failure) {
  return failure.origin == Origin::kUpstream && failure.reason == Reason::kUpstreamConnectFailed &&
         failure.system_error == ECONNREFUSED;
}

/// What a failure reports about the replica.
constexpr dispatch::ReplicaReport::Outcome outcome_of(const Failure& failure) {
  using Outcome = dispatch::ReplicaReport::Outcome;
  if (is_refusal(failure)) return Outcome::kRefused;
  return blames_replica(failure) ? Outcome::kFailed : Outcome::kNone;
}

/// What `open` needs to know about the deployment and the request.
struct OpenOptions {
  Duration connect_timeout{};
  Duration abort_wait = std::chrono::milliseconds(250);  // time for the pod to close a connection that is replaced
  bool fresh = false;                                    // use a new connection even if the slot has an idle one
  http::Method method = http::Method::kOther;
  metrics::DeploymentCells* cells = nullptr;  // this shard's; nullptr: nothing is counted
};

/// Uses the idle connection of the held slot, or opens one (with TLS if the deployment says so). A connection that may be about
/// to end is not used: the router closes it, waits for the pod's close, and opens a new one (contract, section 6). Suspends.
/// `held_slot` outlives the exchange. Fails with upstream_connect_failed (the replica's fault if the origin is upstream),
/// or with the failure of `cancellation`. On failure the slot stays in `held_slot`; but if another shard has not yet released
/// the slot's connection, `held_slot` is empty, and the slot is given back once that shard has released it.
Task<Result<std::unique_ptr<UpstreamExchange>>> open(dispatch::HeldSlot& held_slot, OpenOptions options,
                                                     runtime::Wakeup& wakeup, stream::Cancellation& cancellation);

}  // namespace router::upstream

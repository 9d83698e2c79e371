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
#include "router/wire/cancellation.h"
#include "router/wire/request_sink.h"

namespace router::upstream {

/// Whether a request that broke off on a connection which had been used before, without a byte of an answer, may be sent again
/// (contract, section 6).
enum class Unseen {
  kNo,       // the pod may have acted
  kAssumed,  // GET, HEAD: no proof is asked for, but it may be what ended the replica, so no other one gets it
  kProved,   // the pod has seen nothing of it
};

/// One request with its response on the replica's side, of any protocol version. Holds the slot. Nothing here suspends
/// but `abort`: operations do what can be done now; `arm_read` and `arm_write` ask to be woken when more can be.
class UpstreamExchange : public wire::RequestSink {
 public:
  virtual ~UpstreamExchange() = default;

  /// The slot that it holds; its report is for whoever learns something about the replica. Until the end.
  virtual dispatch::HeldSlot& held_slot() = 0;
  /// An earlier exchange used the same connection.
  virtual bool reused() const = 0;
  /// The pod had to do something before the connection could be used: accept it, or close the one before.
  virtual bool waited() const { return !reused(); }

  // --- the request: as a sink ---
  /// Sends what was gathered. Fails with upstream_reset.
  virtual Result<void> flush() = 0;
  /// The replica takes nothing more for now.
  virtual bool blocked() const = 0;
  /// All of the request, body and trailers, was handed to the kernel.
  virtual bool request_sent() const = 0;

  // --- the response ---
  /// The head once it has arrived, nullptr before. `read_body` and `finish` make its views invalid. Fails with upstream_reset
  /// or upstream_invalid_response.
  virtual Result<const http::ResponseHead*> response_head() = 0;
  /// After a 1xx head: go on to the next one. A pod may send them without end: who reads them lets others have their turn.
  virtual void skip_interim() = 0;
  virtual wire::BodySize response_size() const = 0;
  virtual Result<wire::Progress> read_body(wire::BodySink& sink) = 0;

  /// The pod closes the connection after this answer. It is waited for, so that the slot's next connection is never the pod's
  /// second.
  virtual bool pod_closes() const = 0;

  /// Wakes the exchange when the replica has sent something: only while that is going to be read, since it wakes at once, again
  /// and again, while there are bytes.
  virtual void arm_read() = 0;
  /// Wakes the exchange when a blocked replica takes more, or has gone.
  virtual void arm_write() = 0;

  /// After upstream_reset: whether the pod has seen anything of this request.
  virtual Unseen ended_unseen() const = 0;
  /// Instead of an end: closes the connection and hands the slot on, for another attempt.
  virtual dispatch::HeldSlot release() = 0;

  // --- the end, once: finish, or close (after begin_close, if the pod shall have time); it gives the held slot back ---
  /// The response has been received wholly and the request sent: the connection rests in its slot, or is closed.
  virtual void finish() = 0;
  /// Shuts our side down: nothing more is sent, and what still arrives is dropped. The pod is to close its own side.
  virtual void begin_close() = 0;
  /// After begin_close: drops what has arrived. kBlocked: `arm_read` and come again; kMoved: there may be more at hand; kEnded:
  /// the pod has closed.
  virtual wire::Progress await_close() = 0;
  virtual void close() = 0;
};

/// A failure that tells against the replica: it could not be reached, broke off, or was silent for too long (contract, section
/// 7). One that does not speak HTTP is left to its readiness probe.
constexpr bool blames_replica(const Failure& failure) {
  return failure.origin == Origin::kUpstream &&
         (failure.reason == Reason::kUpstreamConnectFailed || failure.reason == Reason::kUpstreamReset ||
          failure.reason == Reason::kUpstreamTimeout);
}

/// The replica's kernel refused the connection (contract, section 6): nobody can reach the replica, and it has seen nothing.
constexpr bool is_refusal(const Failure& failure) {
  return failure.origin == Origin::kUpstream && failure.reason == Reason::kUpstreamConnectFailed &&
         failure.system_error == ECONNREFUSED;
}

/// What `open` needs to know of a deployment and of the request.
struct OpenOptions {
  Duration connect_timeout{};
  Duration abort_wait = std::chrono::milliseconds(250);  // for the pod to close a connection that is replaced
  bool fresh = false;                                    // a new connection, whatever rests in the slot
  http::Method method = http::Method::kOther;
  metrics::DeploymentCells* cells = nullptr;  // this shard's; nullptr: nothing is counted
};

/// Takes the connection that rests in the held slot, or connects (with TLS where the replica wants it). A connection that may
/// be about to end is not used: it is closed, and when the pod has closed it, too, a new one takes its place (contract,
/// section 6). Suspends. The exchange takes `held_slot` over. Fails with upstream_connect_failed (the replica's fault if its
/// origin is upstream), or with what `cancellation` says. Then the held slot stays where it is; or, if another shard has still
/// to let go of the slot's connection, it is gone, and goes back when that is done.
Task<Result<std::unique_ptr<UpstreamExchange>>> open(dispatch::HeldSlot& held_slot, OpenOptions options,
                                                     runtime::Wakeup& wakeup, wire::Cancellation& cancellation);

}  // namespace router::upstream

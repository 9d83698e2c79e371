#pragma once

#include <cstdint>
#include <memory>

#include "router/base/task.h"
#include "router/dispatch/request_queue.h"
#include "router/proxy/downstream.h"
#include "router/proxy/mirror.h"
#include "router/proxy/patience.h"
#include "router/proxy/record.h"
#include "router/proxy/view.h"
#include "router/runtime/wakeup.h"
#include "router/upstream/exchange.h"

namespace router::proxy {

class ShardServer;

/// The part of an exchange that finds it a replica: what its view allows, its position in the queue, its connection, and its
/// remaining second attempts. Belongs to one shard; lives until its exchange is answered.
class Approach {
 public:
  /// Replaces `view` by a newer one if a replica belongs to a newer generation.
  Approach(ShardServer& server, Views::Snapshot& view, Downstream& downstream, runtime::Wakeup& wakeup, Record& record);

  /// Checks the request, in this order: endpoint, key, deployment, size of the body, remaining time.
  Result<void> admit();
  /// Waits in the queue for a slot. Suspends. The slot's replica does not belong to a newer generation than the view.
  Task<Result<dispatch::HeldSlot>> wait_for_slot();
  /// Gives back the slot of a replica that could not be reached, and waits at the old position in the queue for another slot.
  /// The time that the exchange has already waited counts. Suspends.
  Task<Result<dispatch::HeldSlot>> wait_again(dispatch::HeldSlot held_slot);
  /// Opens a connection in the held slot. If that fails, the slot stays with the caller (upstream::open names one exception).
  /// Suspends.
  Task<Result<std::unique_ptr<upstream::UpstreamExchange>>> open(dispatch::HeldSlot& held_slot, bool fresh);

  /// Whether a second attempt is allowed. Each kind is allowed once, within the deployment's budget. After a refused connection
  /// any number is allowed, outside the budget (contract, section 6). A call that returns true uses the attempt up.
  bool may_go_elsewhere(const Failure& failure);
  bool may_try_again(upstream::Unseen unseen);

  /// The copy that collects the request for the mirrored deployment, or nullptr if the request is not mirrored or its copy was
  /// sent already. At each attempt the copy of the body begins again.
  std::unique_ptr<MirrorCopy>& mirror_copy(const RequestIds& ids);

  const model::Route& route() const { return record_.route; }
  Patience patience() const { return patience_; }

 private:
  Task<Result<dispatch::HeldSlot>> acquire_slot(dispatch::QueuePosition position);
  Task<Result<dispatch::HeldSlot>> acquire_under_newest_view(dispatch::QueuePosition position);
  Task<Result<void>> catch_up(std::uint64_t generation);
  Duration queue_time_left() const;
  dispatch::RequestQueue& queue() const { return *route().deployment->queue; }

  ShardServer& server_;
  Views::Snapshot& view_;
  Downstream& downstream_;
  runtime::Wakeup& wakeup_;
  Record& record_;
  const std::uint64_t draw_;  // for the traffic split: the same number under each view
  Patience patience_;         // set by `admit`
  bool bound_ = false;        // to its replica: the request may have crashed it, so no other replica gets the request
  bool mirrored_ = false;     // `copy_` was created, if one is needed
  std::unique_ptr<MirrorCopy> copy_;
};

}  // namespace router::proxy

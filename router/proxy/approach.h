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

/// The way of one exchange to a replica: what it may do under its view, its position in the queue, its connection, and which
/// second attempts it still has. One shard; lives as long as its exchange is being answered.
class Approach {
 public:
  /// `view` is changed to a newer one where a replica asks for that.
  Approach(ShardServer& server, Views::Snapshot& view, Downstream& downstream, runtime::Wakeup& wakeup, Record& record);

  /// Where it goes and who asks: endpoint, key, deployment, size, time left; in that order.
  Result<void> admit();
  /// Waits in the queue for a slot. Suspends. The slot's replica belongs to no newer configuration than the view.
  Task<Result<dispatch::HeldSlot>> wait_for_slot();
  /// Gives the slot of a replica that could not be reached back, and waits at the old position for another one. Time in the
  /// queue before counts.
  Task<Result<dispatch::HeldSlot>> wait_again(dispatch::HeldSlot held_slot);
  /// Opens a connection under the held slot, which stays here if that fails. Suspends.
  Task<Result<std::unique_ptr<upstream::UpstreamExchange>>> open(dispatch::HeldSlot& held_slot, bool fresh);

  /// Each kind of second attempt is allowed once, within the deployment's budget; after a refused connection as often as it
  /// takes, outside of the budget (contract, section 6). Asking takes it.
  bool may_go_elsewhere(const Failure& failure);
  bool may_try_again(upstream::Unseen unseen);

  /// What collects the request for the mirrored deployment, as far as it is to be mirrored and is not on its way already; at
  /// every attempt from the body's beginning.
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
  const std::uint64_t draw_;  // for the traffic split: the same under every view
  Patience patience_;         // once it is admitted
  bool bound_ = false;        // to its replica, which it may have ended: no other one gets it
  bool mirrored_ = false;     // `copy_` was made, or need not be
  std::unique_ptr<MirrorCopy> copy_;
};

}  // namespace router::proxy

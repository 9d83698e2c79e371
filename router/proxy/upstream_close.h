#pragma once

#include <memory>

#include "router/runtime/shard.h"
#include "router/upstream/exchange.h"

namespace router::proxy {

/// Owns an upstream exchange until its slot is given back: at once if the connection can be used again; otherwise when the pod
/// has closed it, at most `abort_wait_ms` after the router has shut it down (contract, section 5). The exchange with the client
/// continues meanwhile. Nothing here suspends. One shard.
class UpstreamClose {
 public:
  explicit UpstreamClose(runtime::Shard& shard) : shard_(shard) {}

  /// Takes ownership of the exchange. `wait` is the time that the pod has to close after `begin`.
  upstream::UpstreamExchange& hold(std::unique_ptr<upstream::UpstreamExchange> exchange, Duration wait);

  /// Closes the connection and returns the held slot, for another attempt.
  dispatch::HeldSlot release();

  /// After success: keeps the connection idle in its slot, and gives the slot back.
  void finish();
  /// The connection cannot be used again: shuts it down, so that the pod closes it. Does nothing without an exchange or when
  /// called again.
  void begin();
  bool begun() const { return deadline_ != kNever; }
  /// Called after `begin` to continue the close. kMoved: call again at once; kBlocked: call `arm` and wait; kEnded: the slot is
  /// given back, or there was nothing to close.
  wire::Progress proceed();
  bool ended() const { return exchange_ == nullptr; }
  /// The exchange with the pod has ended, or its connection is being closed: no second attempt is possible.
  bool settled() const { return begun() || ended(); }
  /// The pod did not close its side in time: it may still work on the request.
  bool outlived() const { return outlived_; }
  /// Wakes the exchange when the pod has sent something or closed.
  void arm();
  /// The time at which `proceed` closes the connection without waiting for the pod any longer; kNever before `begin`.
  Deadline deadline() const { return deadline_; }

 private:
  runtime::Shard& shard_;
  std::unique_ptr<upstream::UpstreamExchange> exchange_;
  Duration wait_{};
  Deadline deadline_ = kNever;
  bool outlived_ = false;
};

}  // namespace router::proxy

#pragma once

#include <memory>

#include "router/runtime/shard.h"
#include "router/upstream/exchange.h"

namespace router::proxy {

/// Keeps an upstream exchange to its end, which gives the slot back: at once where the connection can be used again, else when
/// the pod has closed it, at the latest `abort_wait_ms` after we did (contract, section 5). The client's side goes on
/// meanwhile. Nothing here suspends. One shard.
class UpstreamClose {
 public:
  explicit UpstreamClose(runtime::Shard& shard) : shard_(shard) {}

  /// Takes the exchange over; `wait` is the time that the pod has to close, once asked to.
  upstream::UpstreamExchange& hold(std::unique_ptr<upstream::UpstreamExchange> exchange, Duration wait);

  /// Instead of an end: the connection is closed, and its slot handed on for another attempt.
  dispatch::HeldSlot release();

  /// All went well: the connection rests in its slot.
  void finish();
  /// The connection cannot be used again: the pod is asked to close it. Does nothing the second time, or without an exchange.
  void begin();
  bool begun() const { return deadline_ != kNever; }
  /// After begin: how far the pod has come. kMoved: come again at once; kBlocked: after `arm`; kEnded: the slot is free.
  /// kEnded, too, where there is nothing to end.
  wire::Progress proceed();
  bool ended() const { return exchange_ == nullptr; }
  bool settled() const { return begun() || ended(); }
  /// The pod did not close its side in time: it may still be at work.
  bool outlived() const { return outlived_; }
  /// Wakes the exchange when the pod has done something.
  void arm();
  /// When `proceed` closes the connection without the pod; kNever before begin.
  Deadline deadline() const { return deadline_; }

 private:
  runtime::Shard& shard_;
  std::unique_ptr<upstream::UpstreamExchange> exchange_;
  Duration wait_{};
  Deadline deadline_ = kNever;
  bool outlived_ = false;
};

}  // namespace router::proxy

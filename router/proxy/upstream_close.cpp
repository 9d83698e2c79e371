#include "router/proxy/upstream_close.h"

#include <utility>

namespace router::proxy {

using wire::Progress;

upstream::UpstreamExchange& UpstreamClose::hold(std::unique_ptr<upstream::UpstreamExchange> exchange, Duration wait) {
  exchange_ = std::move(exchange);
  wait_ = wait;
  return *exchange_;
}

dispatch::HeldSlot UpstreamClose::release() {
  dispatch::HeldSlot held_slot = exchange_->release();
  exchange_.reset();
  return held_slot;
}

void UpstreamClose::finish() {
  const std::unique_ptr<upstream::UpstreamExchange> finished = std::move(exchange_);  // destroyed in every case
  finished->finish();
}

void UpstreamClose::begin() {
  if (exchange_ == nullptr || begun()) return;
  exchange_->begin_close();
  deadline_ = deadline_after(shard_.now(), wait_);
}

Progress UpstreamClose::proceed() {
  if (exchange_ == nullptr) return Progress::kEnded;
  const Progress progress = exchange_->await_close();
  if (progress != Progress::kEnded && shard_.now() < deadline_) return progress;
  outlived_ = progress != Progress::kEnded;
  exchange_->close();
  exchange_.reset();
  deadline_ = kNever;
  return Progress::kEnded;
}

void UpstreamClose::arm() {
  if (exchange_ != nullptr) exchange_->arm_read();
}

}  // namespace router::proxy

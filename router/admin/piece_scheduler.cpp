#include "router/admin/piece_scheduler.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <exception>
#include <utility>

#include "router/base/assert.h"
#include "router/runtime/contain.h"

namespace router::admin {

void PieceScheduler::Maker::leave() {
  if (!scheduler_) return;
  scheduler_->move(*this, State::kOutside);
  scheduler_.reset();
  std::exchange(kept_, nullptr).reset();  // last: it may destroy this
}

bool PieceScheduler::try_enter(Maker& maker) {
  if (under_way() >= max_) {
    if (waiting_.empty() || control_.now() - waiting_.front().since_ < kPatience) return false;
    waiting_.front().cut();
  }
  maker.scheduler_ = shared_from_this();
  move(maker, Maker::State::kWaiting);
  return true;
}

void PieceScheduler::ready(const std::shared_ptr<Maker>& maker) {
  ROUTER_ASSERT(maker->scheduler_.get() == this);
  maker->kept_ = maker;
  move(*maker, Maker::State::kReady);
  come_soon();
}

void PieceScheduler::move(Maker& maker, Maker::State state) {
  if (maker.state_ == Maker::State::kReady) ready_.erase(List::s_iterator_to(maker));
  if (maker.state_ == Maker::State::kWaiting) waiting_.erase(List::s_iterator_to(maker));
  maker.state_ = state;
  if (state == Maker::State::kReady) ready_.push_back(maker);
  if (state != Maker::State::kWaiting) return;
  maker.since_ = control_.now();
  waiting_.push_back(maker);
}

void PieceScheduler::come_soon() {
  if (comes_) return;
  boost::asio::post(control_.io(), [self = shared_from_this()] { self->make_next_piece(); });
  comes_ = true;
}

void PieceScheduler::make_next_piece() {
  comes_ = false;
  if (ready_.empty()) return;
  const std::shared_ptr<Maker> next = std::exchange(ready_.front().kept_, nullptr);
  move(*next, Maker::State::kWaiting);
  try {
    if (!ready_.empty()) come_soon();
    next->make_piece();
  } catch (const std::exception& error) {
    next->cut();
    runtime::contain(error);
  }
}

}  // namespace router::admin

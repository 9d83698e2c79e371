#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "router/base/time.h"
#include "router/dispatch/capacity.h"
#include "router/runtime/wakeup.h"

namespace router::dispatch {

class Line;

/// One exchange in line. Made only when no slot was free; owned by the exchange and by a notice that is on its way to it.
/// The exchange looks at it whenever its Wakeup wakes it. Waiting -> granted, refused or cancelled: once, under the line's
/// mutex. Dropping the exchange's handle is leaving the line.
class Waiter : public std::enable_shared_from_this<Waiter> {
 public:
  Waiter(std::shared_ptr<Line> line, runtime::Wakeup& wakeup, std::shared_ptr<Replica> avoided)
      : line_(std::move(line)), avoided_(std::move(avoided)), shard_(wakeup.shard()), wakeup_(&wakeup) {}

 private:
  friend class Line;
  friend class WaitingList;
  enum class State : std::uint8_t { kNew, kWaiting, kGranted, kTaken, kRefused, kCancelled };

  const std::shared_ptr<Line> line_;
  const std::shared_ptr<Replica> avoided_;  // not this one, as long as another serves; may be nullptr
  runtime::Shard& shard_;
  runtime::Wakeup* wakeup_;  // of its shard only; nullptr once the exchange has what it waited for, or has left

  // Under the line's mutex:
  State state_ = State::kNew;
  std::uint64_t ticket_ = 0;
  TimePoint arrival_{};
  bool met_ready_ = false;      // a replica was ready on arrival
  std::uint64_t revivals_ = 0;  // Capacity::revivals() on arrival
  Capacity::Taken taken_;       // while granted
  TimePoint granted_{};
  Waiter* previous_ = nullptr;
  Waiter* next_ = nullptr;
  std::shared_ptr<Waiter> settled_next_;  // keeps it alive until its notice is posted
};

/// Those who wait, in the order of their tickets. Does not own them. Belongs to the line's mutex.
class WaitingList {
 public:
  bool empty() const { return first_ == nullptr; }
  std::size_t size() const { return size_; }
  Waiter* first() const { return first_; }
  static Waiter* next(const Waiter& waiter) { return waiter.next_; }
  /// A newcomer's place is the last one; who comes back with an old ticket passes those with younger ones.
  void insert(Waiter& waiter) {
    Waiter* before = last_;
    while (before != nullptr && before->ticket_ > waiter.ticket_) before = before->previous_;
    waiter.previous_ = before;
    waiter.next_ = before != nullptr ? before->next_ : first_;
    (before != nullptr ? before->next_ : first_) = &waiter;
    (waiter.next_ != nullptr ? waiter.next_->previous_ : last_) = &waiter;
    ++size_;
  }
  void erase(Waiter& waiter) {
    (waiter.previous_ != nullptr ? waiter.previous_->next_ : first_) = waiter.next_;
    (waiter.next_ != nullptr ? waiter.next_->previous_ : last_) = waiter.previous_;
    waiter.previous_ = waiter.next_ = nullptr;
    --size_;
  }

 private:
  Waiter* first_ = nullptr;
  Waiter* last_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace router::dispatch

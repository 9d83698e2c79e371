#pragma once

#include <boost/intrusive/list.hpp>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>

#include "router/base/frame_cache.h"
#include "router/base/time.h"
#include "router/dispatch/capacity.h"
#include "router/runtime/inbox.h"
#include "router/runtime/wakeup.h"

namespace router::dispatch {

class RequestQueue;

/// One exchange in the queue, and the message that brings the result to its shard.
/// Until the queue has settled it (granted or refused), the queue's mutex protects it. Then it is a message under way. Once it
/// has arrived, it belongs to its shard and needs no mutex. An exchange that leaves while the message is under way takes the
/// granted slot out under the mutex; the message frees the waiter when it arrives.
class Waiter final : public runtime::Message {
 public:
  explicit Waiter(runtime::Wakeup& wakeup) : shard_(wakeup.shard()), wakeup_(&wakeup) {}
  static void* operator new(std::size_t size) { return allocate_frame(size); }
  static void operator delete(void* memory, std::size_t size) noexcept { free_frame(memory, size); }

 private:
  friend class RequestQueue;
  friend class Waiting;
  friend class WaitingList;
  enum class State : std::uint8_t { kNew, kWaiting, kGranted, kRefused, kMoved, kSpent };

  void run() override;
  void dropped() noexcept override;

  runtime::Shard& shard_;

  // Used on its shard:
  runtime::Wakeup* wakeup_;
  bool arrived_ = false;  // the message has run: the members below belong to the shard
  bool left_ = false;     // the exchange has left: the message frees the waiter

  // Protected by the queue's mutex, until it has arrived:
  State state_ = State::kNew;
  bool met_reachable_ = false;  // on arrival, a replica was ready and not refusing
  bool waking_ = false;         // held for a first replica; does not change once it waits
  std::shared_ptr<RequestQueue> queue_;
  std::shared_ptr<Replica> avoided_;  // not chosen while another replica serves; may be nullptr
  std::uint64_t ticket_ = 0;
  TimePoint arrival_{};
  std::uint64_t revivals_ = 0;  // Capacity::revivals() on arrival
  Capacity::Taken taken_;       // if granted
  TimePoint granted_{};
  boost::intrusive::list_member_hook<> hook_;
};

/// The waiters in the order of their tickets. Does not own them. Protected by the queue's mutex.
class WaitingList {
  using Hook = boost::intrusive::member_hook<Waiter, boost::intrusive::list_member_hook<>, &Waiter::hook_>;

 public:
  using List = boost::intrusive::list<Waiter, Hook>;

  struct Count {
    std::size_t all = 0;
    std::size_t waking = 0;  // of them: held for a first replica
    std::size_t others() const { return all - waking; }
  };

  bool empty() const { return list_.empty(); }
  std::size_t size() const { return list_.size(); }
  std::size_t waking() const { return waking_; }
  Count count() const { return {size(), waking_}; }
  Waiter& first() { return list_.front(); }
  const Waiter& first() const { return list_.front(); }
  List::iterator begin() { return list_.begin(); }
  List::iterator end() { return list_.end(); }
  /// Inserts by ticket: a new request goes to the end; one that returns with an older ticket goes before newer ones.
  void insert(Waiter& waiter) noexcept {
    auto after = list_.end();
    while (after != list_.begin() && std::prev(after)->ticket_ > waiter.ticket_) --after;
    list_.insert(after, waiter);
    waking_ += waiter.waking_ ? 1 : 0;
  }
  void erase(Waiter& waiter) noexcept {
    list_.erase(list_.iterator_to(waiter));
    waking_ -= waiter.waking_ ? 1 : 0;
  }
  /// How many have a ticket before `ticket`.
  Count before(std::uint64_t ticket) const noexcept {
    Count before = count();
    for (auto each = list_.rbegin(); each != list_.rend() && each->ticket_ > ticket; ++each) {
      --before.all;
      before.waking -= each->waking_ ? 1 : 0;
    }
    return before;
  }
  /// Moves `waiter` from this list to the end of `settled`.
  void move_to(List& settled, Waiter& waiter) noexcept {
    settled.splice(settled.end(), list_, list_.iterator_to(waiter));
    waking_ -= waiter.waking_ ? 1 : 0;
  }

 private:
  List list_;
  std::size_t waking_ = 0;
};

}  // namespace router::dispatch

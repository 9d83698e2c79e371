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

  bool empty() const { return list_.empty(); }
  std::size_t size() const { return list_.size(); }
  Waiter& first() { return list_.front(); }
  const Waiter& first() const { return list_.front(); }
  List::iterator begin() { return list_.begin(); }
  List::iterator end() { return list_.end(); }
  /// Inserts by ticket: a new request goes to the end; one that returns with an older ticket goes before newer ones.
  void insert(Waiter& waiter) noexcept {
    auto after = list_.end();
    while (after != list_.begin() && std::prev(after)->ticket_ > waiter.ticket_) --after;
    list_.insert(after, waiter);
  }
  void erase(Waiter& waiter) noexcept { list_.erase(list_.iterator_to(waiter)); }
  /// How many have a ticket before `ticket`.
  std::size_t before(std::uint64_t ticket) const noexcept {
    std::size_t count = list_.size();
    for (auto each = list_.rbegin(); each != list_.rend() && each->ticket_ > ticket; ++each) --count;
    return count;
  }
  /// Moves `waiter` from this list to the end of `settled`.
  void move_to(List& settled, Waiter& waiter) noexcept { settled.splice(settled.end(), list_, list_.iterator_to(waiter)); }

 private:
  List list_;
};

}  // namespace router::dispatch

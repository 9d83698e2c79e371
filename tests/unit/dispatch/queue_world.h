#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "router/dispatch/preemptible_slot.h"
#include "router/dispatch/request_queue.h"
#include "tests/support/test_shard.h"

namespace router::dispatch {

/// Stands for a connection. Counts the objects of its kind, and fails if the queue's mutex is held when it is destroyed.
class TestConnection final : public StockedConnection {
 public:
  TestConnection(std::size_t shard, std::atomic<std::size_t>& alive, const RequestQueue* queue = nullptr)
      : shard_(shard), alive_(alive), queue_(queue) {
    ++alive_;
  }
  ~TestConnection() override {
    if (queue_ != nullptr) (void)queue_->demand();  // would deadlock under the mutex
    --alive_;
  }
  std::size_t shard() const override { return shard_; }

 private:
  std::size_t shard_;
  std::atomic<std::size_t>& alive_;
  const RequestQueue* queue_;
};

inline std::shared_ptr<Replica> make_replica(std::size_t slots, std::string name = "pod:5001") {
  return std::make_shared<Replica>(std::move(name), slots);
}

inline const SteadyClock kRealClock;

/// Calls a function of the test where control would be notified.
class TestWatcher final : public Watcher {
 public:
  explicit TestWatcher(std::function<void()> look) : look_(std::move(look)) {}
  void conditions_changed() noexcept override { look_(); }

 private:
  const std::function<void()> look_;
};

/// Counts the calls that make it give up its slot.
class TestHolder final : public PreemptibleHolder {
 public:
  void preempt() noexcept override { ++times; }
  std::atomic<int> times = 0;
};

inline std::shared_ptr<RequestQueue> make_queue(std::size_t length_max = 64, const Clock& clock = kRealClock,
                                                std::shared_ptr<Watcher> watcher = nullptr) {
  QueueOptions options;
  options.length_max = length_max;
  return std::make_shared<RequestQueue>(options, clock, std::move(watcher));
}

/// A queue over `replicas`, all ready.
inline std::shared_ptr<RequestQueue> make_queue(const std::vector<std::shared_ptr<Replica>>& replicas,
                                                std::size_t length_max = 64, const Clock& clock = kRealClock,
                                                std::shared_ptr<Watcher> watcher = nullptr) {
  std::shared_ptr<RequestQueue> queue = make_queue(length_max, clock, std::move(watcher));
  queue->set_replicas(replicas);
  for (const std::shared_ptr<Replica>& replica : replicas) queue->set_ready(replica, true);
  return queue;
}

/// Waits for a slot as an exchange does (proxy/acquire), without a client that may leave.
inline Task<Result<HeldSlot>> acquire(std::shared_ptr<RequestQueue> queue, Deadline deadline, runtime::Shard& shard) {
  runtime::Wakeup wakeup(shard);
  Result<RequestQueue::Entry> entry = queue->enter(wakeup);
  if (!entry) co_return entry.error();
  if (entry->held_slot) co_return std::move(entry->held_slot);
  for (;;) {
    Result<HeldSlot> held_slot = entry->waiting.poll();
    if (!held_slot || *held_slot) co_return held_slot;
    if (shard.now() >= deadline) {
      Parting parting = entry->waiting.leave();
      if (parting.held_slot) co_return std::move(parting.held_slot);
      const bool was_ready = parting.replica_was_ready;
      co_return Failure::internal(was_ready ? Reason::kQueueTimeout : Reason::kNoReadyReplica, "the deadline passed");
    }
    co_await wakeup.wait(deadline);
  }
}

/// An exchange whose steps the test makes.
struct Visitor {
  Visitor(RequestQueue& queue, runtime::Shard& shard, Deadline deadline = kNever, const QueuePosition& position = {})
      : wakeup(shard) {
    Result<RequestQueue::Entry> came = queue.enter(wakeup, deadline, position);
    if (!came) {
      refused = came.error().reason;
    } else {
      entry = std::move(*came);
    }
  }
  bool waits() const { return static_cast<bool>(entry.waiting); }
  /// The slot that has arrived, if any.
  Result<HeldSlot> look() const { return entry.waiting.poll(); }
  /// The same, after one turn of the shard's loop.
  Result<HeldSlot> poll() const {
    test::poll(wakeup.shard());
    return look();
  }
  Parting leave() const { return entry.waiting.leave(); }

  mutable runtime::Wakeup wakeup;
  mutable RequestQueue::Entry entry;
  Reason refused = Reason::kNone;
};

}  // namespace router::dispatch

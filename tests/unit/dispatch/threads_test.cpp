#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <latch>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "router/dispatch/request_queue.h"
#include "router/runtime/shard_set.h"
#include "router/runtime/task_group.h"
#include "tests/unit/dispatch/queue_world.h"
#include "tests/unit/dispatch/replay.h"

namespace router::dispatch {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kThreads = 4;
constexpr std::size_t kExchangesEach = 6;  // at a time, on each thread
constexpr std::size_t kRounds = 300;       // each exchange comes so often

/// Counts the exchanges that hold one of its slots, without the queue's help.
struct CountingReplica final : Replica {
  CountingReplica() : Replica("pod:5001", 2) {}
  std::atomic<std::size_t> inside{0};
};

struct Traffic {
  std::shared_ptr<RequestQueue> queue;
  runtime::ShardSet& shards;
  std::latch ended{kThreads * kExchangesEach};
  std::atomic<std::size_t> connections{0};
  std::atomic<std::size_t> served{0};
  std::atomic<std::size_t> crowded{0};  // times when more exchanges held slots than there were slots
};

/// Holds the slot for a turn or two of the loop, leaves a connection in it, and gives it back here or on another thread.
Task<void> hold(Traffic& traffic, HeldSlot held_slot, runtime::Shard& shard, std::uint64_t dice) {
  auto& replica = static_cast<CountingReplica&>(held_slot.replica());
  if (replica.inside.fetch_add(1) >= 2) ++traffic.crowded;
  runtime::Wakeup wakeup(shard);
  if (dice % 2 == 0) co_await wakeup.wait(shard.now());
  StockEntry* slot = held_slot.entry();
  if (!slot->connection) slot->connection = std::make_unique<TestConnection>(shard.index(), traffic.connections);
  const StockedConnection* left = slot->connection.get();
  replica.inside.fetch_sub(1);
  ++traffic.served;
  if (dice % 3 == 0) {
    traffic.shards[(shard.index() + 1) % kThreads].post([held = std::move(held_slot)]() mutable { held.give_back(); });
  } else {
    held_slot.give_back();
  }
  std::unique_ptr<StockedConnection> dead;
  if (dice % 5 == 0) replica.pod()->take_connection(*slot, left, dead);
}

Task<void> come_and_go(Traffic& traffic, runtime::Shard& shard) {
  for (std::size_t round = 0; round < kRounds; ++round) {
    const std::uint64_t dice = shard.random() >> 8;
    const Deadline deadline = dice % 4 == 0 ? shard.now() + 20us : kNever;
    Result<HeldSlot> held_slot = co_await acquire(traffic.queue, deadline, shard);
    if (held_slot) co_await hold(traffic, std::move(*held_slot), shard, dice);
  }
  traffic.ended.count_down();
}

TEST(RequestQueue, IsSharedByThreads) {
  const SteadyClock clock;
  const auto first = std::make_shared<CountingReplica>();
  const auto second = std::make_shared<CountingReplica>();
  runtime::ShardSet shards(kThreads, clock);
  Traffic traffic{make_queue(1000), shards};
#ifdef ROUTER_CHECKS
  traffic.queue->start_record();
#endif
  traffic.queue->set_replicas({first, second});
  traffic.queue->set_ready(first, true);

  std::vector<std::unique_ptr<runtime::TaskGroup>> groups;
  for (std::size_t index = 0; index < kThreads; ++index) {
    groups.push_back(std::make_unique<runtime::TaskGroup>(shards[index], kExchangesEach));
  }
  shards.post_to_all([&](runtime::Shard& shard) {
    for (std::size_t count = 0; count < kExchangesEach; ++count) {
      groups[shard.index()]->try_spawn(come_and_go(traffic, shard));
    }
  });
  shards.start();
  for (std::size_t turn = 0; !traffic.ended.try_wait(); ++turn) {  // this is the control thread
    traffic.queue->set_ready(second, turn % 2 == 0);
    traffic.queue->set_slots(first, 1 + turn % 3 % 2);
    if (turn % 7 == 0) traffic.queue->set_replicas({first, second});
    (void)traffic.queue->demand();
    std::this_thread::yield();
  }
  shards.join();

  EXPECT_EQ(traffic.crowded, 0u);
  EXPECT_GT(traffic.served, kThreads * kExchangesEach * kRounds / 2);
  const Demand demand = traffic.queue->demand();
  EXPECT_EQ(demand.waiting, 0u);
  EXPECT_EQ(demand.slots_in_use, 0u);
#ifdef ROUTER_CHECKS
  const std::vector<RecordedEvent> events = traffic.queue->recorded();
  const Replay replay(events);
  if (events.size() < EventRecord::kEventsMax) {
    EXPECT_GE(replay.served(), traffic.served);  // a grant may have come too late to be used
    EXPECT_EQ(replay.held(), 0u);
  }
#endif
  traffic.queue->close();
  EXPECT_EQ(traffic.connections, 0u);
}

}  // namespace
}  // namespace router::dispatch

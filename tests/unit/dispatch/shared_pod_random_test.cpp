#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <latch>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "router/dispatch/membership.h"
#include "router/dispatch/namespace_home.h"
#include "router/dispatch/preemptible_slot.h"
#include "router/dispatch/request_queue.h"
#include "router/runtime/shard_set.h"
#include "router/runtime/task_group.h"
#include "tests/unit/dispatch/queue_world.h"

// Pods that several queues share, under random events and on several threads.
namespace router::dispatch {
namespace {

using namespace std::chrono_literals;
using test::TestShard;

constexpr std::size_t kQueues = 3;
constexpr std::size_t kPods = 3;

/// Queues that share all of their pods, and all events that may happen to them, in random order.
class SharedWorld {
 public:
  explicit SharedWorld(std::uint64_t seed) : random_(seed) {
    for (std::size_t queue = 0; queue < kQueues; ++queue) {
      for (std::size_t pod = 0; pod < kPods; ++pod) {
        slots_[queue][pod] = pick(4);
        replicas_[queue][pod] = std::make_shared<Replica>("pod:5001", slots_[queue][pod], pods_[pod]);
      }
      set_members(queue, true);
    }
  }

  void step() {
    const std::array<std::size_t, kPods> before = in_use();
    act();
    const bool settled = pick(2) == 0;
    if (settled) settle();
    for (std::size_t pod = 0; pod < kPods; ++pod) {
      const std::size_t now = pods_[pod]->in_use();
      const std::optional<std::size_t> limit = limit_of(pod);
      if (limit && now > before[pod]) {
        ASSERT_LE(now, *limit) << "more exchanges than slots";
      }
    }
    if (settled) check_idle();
  }

  void finish() {
    guests_.clear();
    settle();
    held_.clear();
    settle();
    for (const auto& pod : pods_) EXPECT_EQ(pod->in_use(), 0u);
    for (auto& queue : queues_) {
      EXPECT_EQ(queue->demand().slots_in_use, 0u);
      queue->close();
    }
    EXPECT_EQ(alive_, 0u);
  }
  std::size_t served() const { return served_; }

 private:
  struct Guest {
    std::size_t queue;
    std::unique_ptr<Visitor> visitor;
    std::shared_ptr<Replica> avoided;
  };
  struct Held {
    std::size_t queue;
    HeldSlot held_slot;
  };

  std::size_t pick(std::size_t below) { return std::uniform_int_distribution<std::size_t>(0, below - 1)(random_); }

  void act() {
    const std::size_t queue = pick(kQueues);
    const std::size_t pod = pick(kPods);
    switch (pick(15)) {
      case 0:
      case 1:
      case 2:
      case 3: return enter(queue);
      case 4:
      case 5:
      case 6: return give_back();
      case 7:
        if (!guests_.empty()) guests_.erase(guests_.begin() + static_cast<std::ptrdiff_t>(pick(guests_.size())));
        return;
      case 8:
        ready_[queue][pod] = pick(4) > 0;
        if (member_[queue][pod]) queues_[queue]->set_ready(replicas_[queue][pod], ready_[queue][pod]);
        return;
      case 9:
        slots_[queue][pod] = pick(10) == 0 ? 0 : 1 + pick(3);
        return queues_[queue]->set_slots(replicas_[queue][pod], slots_[queue][pod]);
      case 10: return set_members(queue, pick(2) == 0);
      case 11:
        withheld_[pod] = pick(4) == 0 ? PodSlots::kAll : pick(3);
        return RequestQueue::set_withheld(*pods_[pod], withheld_[pod]);
      case 12: return queues_[queue]->set_home(home_[queue] = pick(4) > 0);
      case 13: return RequestQueue::set_withdrawn(*pods_[pod], withdrawn_[pod] = pick(3) == 0);
      default: return come_back();
    }
  }
  void enter(std::size_t queue, const QueuePosition& position = {}) {
    auto visitor = std::make_unique<Visitor>(*queues_[queue], *shard_, kNever, position);
    if (visitor->entry.held_slot) {
      hold(queue, std::move(visitor->entry.held_slot));
    } else if (visitor->waits()) {
      guests_.push_back({queue, std::move(visitor), position.avoided});
    }
  }
  void hold(std::size_t queue, HeldSlot held_slot) {
    ++served_;
    if (held_slot.entry() != nullptr && held_slot.entry()->connection == nullptr && pick(2) == 0) {
      held_slot.entry()->connection = std::make_unique<TestConnection>(0, alive_, queues_[queue].get());
    }
    held_.push_back({queue, std::move(held_slot)});
  }
  Held any_held() {
    std::swap(held_[pick(held_.size())], held_.back());
    Held held = std::move(held_.back());
    held_.pop_back();
    return held;
  }
  void give_back() {
    if (!held_.empty()) any_held();
  }
  /// Gives a slot back and returns to its position in the queue. That pod is avoided.
  void come_back() {
    if (held_.empty()) return;
    Held held = any_held();
    const QueuePosition position = held.held_slot.position();
    held.held_slot.give_back();
    enter(held.queue, position);
  }
  void set_members(std::size_t queue, bool all) {
    std::vector<std::shared_ptr<Replica>> members;
    for (std::size_t pod = 0; pod < kPods; ++pod) {
      const bool was = std::exchange(member_[queue][pod], all || pick(3) > 0);
      if (!was || !member_[queue][pod]) ready_[queue][pod] = false;
      if (member_[queue][pod]) members.push_back(replicas_[queue][pod]);
    }
    queues_[queue]->set_replicas(members);
    for (std::size_t pod = 0; pod < kPods; ++pod) {
      if (!member_[queue][pod] || ready_[queue][pod]) continue;
      ready_[queue][pod] = true;
      queues_[queue]->set_ready(replicas_[queue][pod], true);
    }
  }
  void settle() {
    shard_->poll();
    for (std::size_t index = 0; index < guests_.size();) {
      Result<HeldSlot> held_slot = guests_[index].visitor->poll();
      if (held_slot && !*held_slot) {
        ++index;
        continue;
      }
      const std::size_t queue = guests_[index].queue;
      guests_.erase(guests_.begin() + static_cast<std::ptrdiff_t>(index));
      if (held_slot) hold(queue, std::move(*held_slot));
    }
  }

  std::array<std::size_t, kPods> in_use() const {
    std::array<std::size_t, kPods> numbers{};
    for (std::size_t pod = 0; pod < kPods; ++pod) numbers[pod] = pods_[pod]->in_use();
    return numbers;
  }
  /// The lowest limit among the queues that have the pod, without what is withheld; no value: no limit. None if withdrawn.
  std::optional<std::size_t> limit_of(std::size_t pod) const {
    if (withdrawn_[pod]) return 0;
    std::size_t limit = 0;
    for (std::size_t queue = 0; queue < kQueues; ++queue) {
      const std::size_t slots = member_[queue][pod] ? slots_[queue][pod] : 0;
      if (slots > 0) limit = limit == 0 ? slots : std::min(limit, slots);
    }
    if (limit == 0) return std::nullopt;
    return limit - std::min(limit, withheld_[pod]);
  }
  /// Checks that no exchange waits while a pod that may serve it has a slot. True only after all of them have looked.
  void check_idle() const {
    for (const Guest& guest : guests_) {
      ASSERT_TRUE(home_[guest.queue]) << "a request waits although the home has moved";
      for (std::size_t pod = 0; pod < kPods; ++pod) {
        const bool serves = member_[guest.queue][pod] && ready_[guest.queue][pod];
        if (!serves || replicas_[guest.queue][pod] == guest.avoided) continue;
        const std::optional<std::size_t> limit = limit_of(pod);
        ASSERT_TRUE(limit) << "queue " << guest.queue << " waits, and may use pod " << pod << ", which has no limit";
        ASSERT_GE(pods_[pod]->in_use(), *limit) << "queue " << guest.queue << " waits while a slot is free at pod " << pod;
      }
    }
  }

  std::mt19937_64 random_;
  std::atomic<std::size_t> alive_ = 0;
  std::size_t served_ = 0;
  std::array<std::shared_ptr<PodSlots>, kPods> pods_{std::make_shared<PodSlots>(), std::make_shared<PodSlots>(),
                                                     std::make_shared<PodSlots>()};
  std::array<std::shared_ptr<RequestQueue>, kQueues> queues_{make_queue(8), make_queue(8), make_queue(8)};
  std::array<std::array<std::shared_ptr<Replica>, kPods>, kQueues> replicas_;
  std::array<std::array<std::size_t, kPods>, kQueues> slots_{};
  std::array<std::array<bool, kPods>, kQueues> member_{};
  std::array<std::array<bool, kPods>, kQueues> ready_{};
  std::array<std::size_t, kPods> withheld_{};
  std::array<bool, kPods> withdrawn_{};
  std::array<bool, kQueues> home_{true, true, true};
  std::unique_ptr<TestShard> shard_ = std::make_unique<TestShard>(0);
  std::vector<Held> held_;
  std::vector<Guest> guests_;
};

/// ROUTER_SEED=n repeats the run with that seed.
std::uint64_t first_seed() {
  const char* given = std::getenv("ROUTER_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
}

TEST(SharedPods, KeepTheirPromisesInAnyOrderOfEvents) {
  constexpr std::size_t kRounds = 200;
  constexpr std::size_t kEvents = 500;
  const std::uint64_t first = first_seed();
  std::cout << "ROUTER_SEED=" << first << '\n';
  std::size_t served = 0;
  for (std::size_t round = 0; round < kRounds && !testing::Test::HasFailure(); ++round) {
    SCOPED_TRACE("round " + std::to_string(round) + " of ROUTER_SEED=" + std::to_string(first));
    SharedWorld world(first + round);
    for (std::size_t event = 0; event < kEvents && !testing::Test::HasFailure(); ++event) world.step();
    world.finish();
    served += world.served();
  }
  EXPECT_GT(served, kRounds * kEvents / 10);
}

constexpr std::size_t kThreads = 4;
constexpr std::size_t kExchangesEach = 6;  // at a time, on each thread
constexpr std::size_t kTurns = 300;        // each exchange comes so often
constexpr std::size_t kSlots = 2;

struct SharedTraffic {
  std::array<std::shared_ptr<RequestQueue>, 2> queues;
  runtime::ShardSet& shards;
  std::latch ended{kThreads * kExchangesEach};
  std::atomic<std::size_t> inside{0};  // exchanges that hold a slot of the pod, counted without the queues
  std::atomic<std::size_t> crowded{0};
  std::atomic<std::size_t> connections{0};
  std::array<std::atomic<std::size_t>, 2> served{};
  NamespaceHome home{};
};

Task<void> hold(SharedTraffic& traffic, HeldSlot held_slot, runtime::Shard& shard, std::uint64_t dice) {
  if (traffic.inside.fetch_add(1) >= kSlots) ++traffic.crowded;
  runtime::Wakeup wakeup(shard);
  CoveredRun run(wakeup);
  Membership& membership = *held_slot.membership();
  if (membership.coverage().covers_now() && traffic.home.where() == NamespaceHome::kHere) membership.add(run);
  if (dice % 2 == 0) co_await wakeup.wait(shard.now());
  StockEntry* slot = held_slot.entry();
  if (!slot->connection) slot->connection = std::make_unique<TestConnection>(shard.index(), traffic.connections);
  const StockedConnection* left = slot->connection.get();
  const std::shared_ptr<PodSlots> pod = held_slot.replica().pod();
  traffic.inside.fetch_sub(1);
  if (dice % 3 == 0) {
    traffic.shards[(shard.index() + 1) % kThreads].post([held = std::move(held_slot)]() mutable { held.give_back(); });
  } else {
    held_slot.give_back();
  }
  std::unique_ptr<StockedConnection> dead;
  if (dice % 5 == 0) pod->take_connection(*slot, left, dead);
}

Task<void> come_and_go(SharedTraffic& traffic, runtime::Shard& shard) {
  for (std::size_t turn = 0; turn < kTurns; ++turn) {
    const std::uint64_t dice = shard.random() >> 8;
    const std::size_t queue = dice / 64 % 2;
    const Deadline deadline = dice % 4 == 0 ? shard.now() + 20us : kNever;
    Result<HeldSlot> held_slot = co_await acquire(traffic.queues[queue], deadline, shard);
    if (!held_slot) {
      if (held_slot.error().reason == Reason::kHomeMoved) {  // it comes again
        runtime::Wakeup wakeup(shard);
        co_await wakeup.wait(shard.now());
        --turn;
      }
      continue;
    }
    ++traffic.served[queue];
    co_await hold(traffic, std::move(*held_slot), shard, dice);
  }
  traffic.ended.count_down();
}

TEST(SharedPods, AreSharedByThreads) {
  const SteadyClock clock;
  runtime::ShardSet shards(kThreads, clock);
  const auto membership = std::make_shared<Membership>(kThreads);
  const auto pod = std::make_shared<PodSlots>(kThreads, PodSlots::Transport::kOneExchange, membership);
  const auto first = std::make_shared<Replica>("pod:5001", kSlots, pod);
  const auto second = std::make_shared<Replica>("pod:5001", kSlots, pod);
  SharedTraffic traffic{{make_queue({first}, 1000), make_queue({second}, 1000)}, shards};
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
  std::size_t probes = 0;
  std::size_t most_busy = 0;
  for (std::size_t turn = 0; !traffic.ended.try_wait(); ++turn) {  // this is the control thread
    traffic.queues[1]->set_ready(second, turn % 2 == 0);
    traffic.queues[0]->set_slots(first, 1 + turn % 3 % kSlots);
    if (turn % 7 == 0) traffic.queues[1]->set_replicas({second});
    RequestQueue::set_withheld(*pod, turn % 5 == 0 ? PodSlots::kAll : turn % 3);
    traffic.queues[0]->set_home(turn % 11 != 0);
    membership->coverage().set_until(turn % 3 == 0 ? Coverage::boot_time() : Coverage::kAlways);
    traffic.home.set(turn % 2 == 0 ? NamespaceHome::kHere : 1);
    if (turn % 50 == 0) Membership::cut_all(membership, shards);
    most_busy = std::max(most_busy, pod->busy());
    const auto holder = std::make_shared<TestHolder>();
    if (const PreemptibleSlot probe = PreemptibleSlot::take(pod, kThreads, holder)) {
      ++probes;
      if (traffic.inside.fetch_add(1) >= kSlots) ++traffic.crowded;
      for (int patience = 0; holder->times == 0 && patience < 100; ++patience) std::this_thread::yield();
      traffic.inside.fetch_sub(1);
    }
    std::this_thread::yield();
  }
  shards.join();
  EXPECT_EQ(traffic.crowded, 0u);
  EXPECT_GT(traffic.served[0] + traffic.served[1], kThreads * kExchangesEach * kTurns / 2);
  EXPECT_GT(traffic.served[1], 0u);
  EXPECT_GT(probes, 0u);
  EXPECT_LE(most_busy, kSlots) << "more connections and exchanges than slots";
  EXPECT_EQ(pod->in_use(), 0u);
  for (const std::shared_ptr<RequestQueue>& queue : traffic.queues) {
    EXPECT_EQ(queue->demand().waiting, 0u);
    queue->close();
  }
  EXPECT_EQ(traffic.connections, 0u);
}

}  // namespace
}  // namespace router::dispatch

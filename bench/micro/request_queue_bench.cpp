#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "router/dispatch/request_queue.h"
#include "router/runtime/shard.h"

namespace router::dispatch {
namespace {

const SteadyClock kClock;

std::vector<std::shared_ptr<Replica>> make_replicas(std::size_t count, std::size_t slots) {
  std::vector<std::shared_ptr<Replica>> replicas;
  for (std::size_t index = 0; index < count; ++index) {
    replicas.push_back(std::make_shared<Replica>("pod-" + std::to_string(index) + ":5001", slots));
  }
  return replicas;
}

std::shared_ptr<RequestQueue> make_queue(const std::vector<std::shared_ptr<Replica>>& replicas) {
  auto queue = std::make_shared<RequestQueue>(QueueOptions{}, kClock);
  queue->set_replicas(replicas);
  for (const std::shared_ptr<Replica>& replica : replicas) queue->set_ready(replica, true);
  return queue;
}

/// A process that never had a second thread counts references without atomic operations. The router has several threads.
const bool kHasThreads = [] {
  std::thread([] {}).join();
  return true;
}();

/// The usual exchange: a slot is free. Goal: less than 200 ns. Arguments: replicas, slots of each (0 = unlimited).
void EnterAndGiveBack(benchmark::State& state) {
  runtime::Shard shard(0, kClock, runtime::Shard::Time::kManual);
  runtime::Wakeup wakeup(shard);
  const std::shared_ptr<RequestQueue> queue =
      make_queue(make_replicas(static_cast<std::size_t>(state.range(0)), static_cast<std::size_t>(state.range(1))));
  for (auto _ : state) {
    Result<RequestQueue::Entry> entry = queue->enter(wakeup);
    benchmark::DoNotOptimize(entry->held_slot.entry());
    entry->held_slot.give_back();
  }
}
BENCHMARK(EnterAndGiveBack)->Args({1, 1})->Args({1, 0})->Args({10, 4})->Args({1000, 1})->Args({1000, 0});

/// The same while nearly every slot is taken.
void EnterAndGiveBackWhenBusy(benchmark::State& state) {
  runtime::Shard shard(0, kClock, runtime::Shard::Time::kManual);
  runtime::Wakeup wakeup(shard);
  const auto slots = static_cast<std::size_t>(state.range(1));
  const std::shared_ptr<RequestQueue> queue = make_queue(make_replicas(static_cast<std::size_t>(state.range(0)), slots));
  std::vector<HeldSlot> held;
  for (std::size_t count = 1; count < static_cast<std::size_t>(state.range(0)) * slots; ++count) {
    held.push_back(std::move(queue->enter(wakeup)->held_slot));
  }
  for (auto _ : state) {
    Result<RequestQueue::Entry> entry = queue->enter(wakeup);
    entry->held_slot.give_back();
  }
}
BENCHMARK(EnterAndGiveBackWhenBusy)->Args({10, 4})->Args({1000, 4})->Args({10, 1000});

/// Refused because the queue is full.
void RefuseWhenFull(benchmark::State& state) {
  runtime::Shard shard(0, kClock, runtime::Shard::Time::kManual);
  runtime::Wakeup wakeup(shard);
  const std::shared_ptr<RequestQueue> queue = make_queue(make_replicas(1, 1));
  QueueOptions options;
  options.length_max = 0;
  queue->set_options(options);
  const HeldSlot held = std::move(queue->enter(wakeup)->held_slot);
  for (auto _ : state) benchmark::DoNotOptimize(queue->enter(wakeup).has_error());
}
BENCHMARK(RefuseWhenFull);

/// A waiter enters a long queue and leaves it: the cost of a timeout.
void WaitAndLeave(benchmark::State& state) {
  runtime::Shard shard(0, kClock, runtime::Shard::Time::kManual);
  runtime::Wakeup wakeup(shard);
  const std::shared_ptr<RequestQueue> queue = make_queue(make_replicas(1, 1));
  const HeldSlot held = std::move(queue->enter(wakeup)->held_slot);
  std::vector<Waiting> others;
  for (int count = 0; count < 60; ++count) others.push_back(std::move(queue->enter(wakeup)->waiting));
  for (auto _ : state) {
    Result<RequestQueue::Entry> entry = queue->enter(wakeup);
    entry->waiting.leave();
  }
}
BENCHMARK(WaitAndLeave);

/// All threads of the router use one deployment.
void EnterAndGiveBackContended(benchmark::State& state) {
  static std::shared_ptr<RequestQueue> queue;
  if (state.thread_index() == 0) queue = make_queue(make_replicas(100, 0));
  runtime::Shard shard(static_cast<std::size_t>(state.thread_index()), kClock, runtime::Shard::Time::kManual);
  runtime::Wakeup wakeup(shard);
  for (auto _ : state) {
    Result<RequestQueue::Entry> entry = queue->enter(wakeup);
    entry->held_slot.give_back();
  }
}
BENCHMARK(EnterAndGiveBackContended)->ThreadRange(1, 4)->UseRealTime();

}  // namespace
}  // namespace router::dispatch

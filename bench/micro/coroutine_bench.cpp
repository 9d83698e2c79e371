#include <benchmark/benchmark.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <optional>
#include <utility>

#include "bench/micro/measured.h"
#include "router/base/task.h"
#include "router/runtime/shard.h"
#include "router/runtime/task_group.h"
#include "router/runtime/wakeup.h"

/// From one coroutine to another and back: asio::awaitable and Task (docs/decisions/0001, 0065). The same in both: one frame
/// for each child, one value handed back, as many suspensions at a place from where somebody else resumes. Both run inside
/// their loop, so that Asio has its cache of frames; awaitable has the io_context's own executor, the cheapest there is.
namespace router {
namespace {

namespace asio = boost::asio;
using Executor = asio::io_context::executor_type;
template <class T>
using Awaitable = asio::awaitable<T, Executor>;

const SteadyClock kClock;

Awaitable<int> asio_child(int number) { co_return number + 1; }
Task<int> own_child(int number) { co_return number + 1; }

Awaitable<void> asio_parent(benchmark::State& state) {
  const bench::Measured measured(state);
  int number = 0;
  while (state.KeepRunning()) number = co_await asio_child(number);
  benchmark::DoNotOptimize(number);
}

Task<void> own_parent(benchmark::State& state) {
  const bench::Measured measured(state);
  int number = 0;
  while (state.KeepRunning()) number = co_await own_child(number);
  benchmark::DoNotOptimize(number);
}

/// A child that has nothing to wait for: most steps of an exchange, most of the time.
void CallChildAsio(benchmark::State& state) {
  asio::io_context io(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO);
  asio::co_spawn(io, asio_parent(state), asio::detached);
  io.run();
}
BENCHMARK(CallChildAsio)->Name("CallChild/asio_awaitable");

void CallChildOwn(benchmark::State& state) {
  runtime::Shard shard(0, kClock, runtime::Shard::Time::kManual);
  runtime::TaskGroup group(shard, 1);
  shard.post([&] {
    group.try_spawn(own_parent(state));
    shard.stop();
  });
  shard.run();
}
BENCHMARK(CallChildOwn)->Name("CallChild/router_task");

/// Where a coroutine of Asio waits for somebody else of its thread: its handler, kept.
struct AsioPlace {
  using Handler = asio::async_result<asio::use_awaitable_t<Executor>, void()>::handler_type;
  std::optional<Handler> waiting;
  bool ends = false;

  Awaitable<void> wait() {
    return asio::async_initiate<const asio::use_awaitable_t<Executor>, void()>(
        [this](Handler handler) { waiting.emplace(std::move(handler)); }, asio::use_awaitable_t<Executor>());
  }
  void wake() {
    Handler handler = *std::move(waiting);
    waiting.reset();
    handler();
  }
};

Awaitable<int> asio_waiting_child(AsioPlace& place, int number) {
  co_await place.wait();
  co_return number + 1;
}
Awaitable<void> asio_waiting_parent(AsioPlace& place) {
  for (int number = 0; !place.ends;) number = co_await asio_waiting_child(place, number);
}

Task<int> own_waiting_child(runtime::Wakeup& wakeup, int number) {
  co_await wakeup.wait(kNever);
  co_return number + 1;
}
Task<void> own_waiting_parent(runtime::Wakeup& wakeup, const bool& ends) {
  for (int number = 0; !ends;) number = co_await own_waiting_child(wakeup, number);
}

/// A child that waits once, is resumed, and ends: as when an answer arrives.
void ResumeChildAsio(benchmark::State& state) {
  asio::io_context io(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO);
  AsioPlace place;
  asio::co_spawn(io, asio_waiting_parent(place), asio::detached);
  asio::post(io, [&] {
    {
      const bench::Measured measured(state);
      while (state.KeepRunning()) place.wake();
    }
    place.ends = true;
    place.wake();
  });
  io.run();
}
BENCHMARK(ResumeChildAsio)->Name("ResumeChild/asio_awaitable");

void ResumeChildOwn(benchmark::State& state) {
  runtime::Shard shard(0, kClock, runtime::Shard::Time::kManual);
  runtime::Wakeup wakeup(shard);
  bool ends = false;
  runtime::TaskGroup group(shard, 1);
  shard.post([&] {
    group.try_spawn(own_waiting_parent(wakeup, ends));
    {
      const bench::Measured measured(state);
      while (state.KeepRunning()) wakeup.wake();
    }
    ends = true;
    wakeup.wake();
    shard.stop();
  });
  shard.run();
}
BENCHMARK(ResumeChildOwn)->Name("ResumeChild/router_task");

}  // namespace
}  // namespace router

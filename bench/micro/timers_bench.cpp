#include <benchmark/benchmark.h>

#include <array>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>

#include "bench/micro/measured.h"
#include "router/runtime/shard.h"
#include "router/runtime/timer_queue.h"

/// Timers of Asio, and the router's queue of timers, which one timer of Asio drives (docs/decisions/0003, 0065). The same in
/// both: 64 timers in one turn of the loop, the same times, one reading of the clock a turn by the benchmark, and as many
/// other timers armed as the argument says. All that the loop has to do because of them is in the figure: handlers of waits
/// that were cancelled, the kernel's timer.
namespace router {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;
using AsioTimer = asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>,
                                             asio::io_context::executor_type>;

constexpr std::size_t kTimers = 64;
constexpr std::chrono::seconds kTimeout{30};
const SteadyClock kClock;

/// Turn after turn of a loop, as long as the row lasts: `begin` does a turn's work, and `next` asks for the next one.
class Turns {
 public:
  Turns(benchmark::State& state, asio::io_context& io, std::function<void()> begin, std::function<void()> stop)
      : state_(state), io_(io), begin_(std::move(begin)), stop_(std::move(stop)) {
    asio::post(io_, [this] {
      measured_ = std::make_unique<bench::Measured>(state_, kTimers);
      run();
    });
  }
  void next() {
    asio::post(io_, [this] { run(); });
  }

 private:
  void run() {
    if (state_.KeepRunning()) return begin_();
    measured_.reset();
    stop_();
  }
  benchmark::State& state_;
  asio::io_context& io_;
  std::function<void()> begin_;
  std::function<void()> stop_;
  std::unique_ptr<bench::Measured> measured_;
};

void add_others(std::deque<AsioTimer>& timers, asio::io_context& io, std::int64_t count) {
  for (std::int64_t number = 0; number < count; ++number) {
    timers.emplace_back(io, kClock.now() + 1h + number * 1ms).async_wait([](const boost::system::error_code&) {});
  }
}

/// Each deadline is moved before it has come: what a request does three or four times.
void MoveAsio(benchmark::State& state) {
  asio::io_context io(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO);
  std::deque<AsioTimer> others;
  add_others(others, io, state.range(0));
  std::deque<AsioTimer> timers;
  for (std::size_t number = 0; number < kTimers; ++number) timers.emplace_back(io);
  std::size_t cancelled = 0;
  Turns* turns = nullptr;
  const auto begin = [&] {
    const TimePoint deadline = kClock.now() + kTimeout;
    for (AsioTimer& timer : timers) {
      timer.expires_at(deadline);
      timer.async_wait([&cancelled](const boost::system::error_code& error) { cancelled += error ? 1 : 0; });
    }
    turns->next();
  };
  Turns all(state, io, begin, [&io] { io.stop(); });
  turns = &all;
  io.run();
  if (cancelled < (static_cast<std::size_t>(state.iterations()) - 1) * kTimers) state.SkipWithError("not cancelled");
}
BENCHMARK(MoveAsio)->Name("MoveDeadline/asio_steady_timer")->Arg(0)->Arg(10'000);

class OwnTimer final : public runtime::Timer {
 public:
  explicit OwnTimer(std::size_t* expired = nullptr, std::function<void()> all = {}) : expired_(expired), all_(std::move(all)) {}

 private:
  void expired() override {
    if (expired_ == nullptr || ++*expired_ < kTimers) return;
    *expired_ = 0;
    all_();
  }
  std::size_t* expired_;
  std::function<void()> all_;
};

void add_others(std::deque<OwnTimer>& timers, runtime::Shard& shard, std::int64_t count) {
  for (std::int64_t number = 0; number < count; ++number) {
    shard.schedule(timers.emplace_back(), kClock.now() + 1h + number * 1ms);
  }
}

void MoveOwn(benchmark::State& state) {
  runtime::Shard shard(0, kClock);
  std::deque<OwnTimer> others;
  add_others(others, shard, state.range(0));
  std::deque<OwnTimer> timers(kTimers);
  Turns* turns = nullptr;
  const auto begin = [&] {
    const TimePoint deadline = kClock.now() + kTimeout;
    for (OwnTimer& timer : timers) shard.schedule(timer, deadline);
    turns->next();
  };
  Turns all(state, shard.io(), begin, [&shard] { shard.stop(); });
  turns = &all;
  shard.run();
}
BENCHMARK(MoveOwn)->Name("MoveDeadline/router_timer_queue")->Arg(0)->Arg(10'000);

/// Each deadline comes at once, and its owner is told.
void ExpireAsio(benchmark::State& state) {
  asio::io_context io(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO);
  std::deque<AsioTimer> others;
  add_others(others, io, state.range(0));
  std::deque<AsioTimer> timers;
  for (std::size_t number = 0; number < kTimers; ++number) timers.emplace_back(io);
  std::size_t expired = 0;
  Turns* turns = nullptr;
  const auto begin = [&] {
    const TimePoint deadline = kClock.now();
    for (AsioTimer& timer : timers) {
      timer.expires_at(deadline);
      timer.async_wait([&](const boost::system::error_code& error) {
        if (error || ++expired < kTimers) return;
        expired = 0;
        turns->next();
      });
    }
  };
  Turns all(state, io, begin, [&io] { io.stop(); });
  turns = &all;
  io.run();
}
BENCHMARK(ExpireAsio)->Name("ExpireDeadline/asio_steady_timer")->Arg(0)->Arg(10'000);

void ExpireOwn(benchmark::State& state) {
  runtime::Shard shard(0, kClock);
  std::deque<OwnTimer> others;
  add_others(others, shard, state.range(0));
  std::size_t expired = 0;
  Turns* turns = nullptr;
  std::deque<OwnTimer> timers;
  for (std::size_t number = 0; number < kTimers; ++number) timers.emplace_back(&expired, [&turns] { turns->next(); });
  const auto begin = [&] {
    const TimePoint deadline = kClock.now();
    for (OwnTimer& timer : timers) shard.schedule(timer, deadline);
  };
  Turns all(state, shard.io(), begin, [&shard] { shard.stop(); });
  turns = &all;
  shard.run();
}
BENCHMARK(ExpireOwn)->Name("ExpireDeadline/router_timer_queue")->Arg(0)->Arg(10'000);

}  // namespace
}  // namespace router

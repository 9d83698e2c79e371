#include <benchmark/benchmark.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/recycling_allocator.hpp>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <new>
#include <utility>

#include "bench/micro/measured.h"
#include "router/base/frame_cache.h"

/// Memory of coroutine frames: from the heap, from Asio's cache, from the router's (docs/decisions/0065). The same in all: the
/// sizes, the order of taking and giving back, and that each block is written at both ends. Asio's cache belongs to a thread
/// that runs a loop, so all of them run within one.
namespace router {
namespace {

namespace asio = boost::asio;

struct Heap {
  static void* take(std::size_t size) { return ::operator new(size); }
  static void give(void* memory, std::size_t size) { ::operator delete(memory, size); }
};
struct AsioCache {
  static void* take(std::size_t size) { return asio::recycling_allocator<std::byte>().allocate(size); }
  static void give(void* memory, std::size_t size) {
    asio::recycling_allocator<std::byte>().deallocate(static_cast<std::byte*>(memory), size);
  }
};
struct OwnCache {
  static void* take(std::size_t size) { return allocate_frame(size); }
  static void give(void* memory, std::size_t size) { free_frame(memory, size); }
};

template <class Work>
void run_in_loop(Work work) {
  asio::io_context io(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO);
  asio::post(io, std::move(work));
  io.run();
}

/// 32 exchanges under way: the oldest one ends, the next one begins. The argument is the size of a frame: that of a step, and
/// that of an exchange with a replica.
template <class Memory>
void TakeAndGive(benchmark::State& state) {
  constexpr std::size_t kUnderWay = 32;
  run_in_loop([&state] {
    const auto size = static_cast<std::size_t>(state.range(0));
    std::array<void*, kUnderWay> frames;
    for (void*& frame : frames) frame = Memory::take(size);
    std::size_t next = 0;
    {
      const bench::Measured measured(state);
      for (auto _ : state) {
        void*& frame = frames[next++ % kUnderWay];
        Memory::give(frame, size);
        frame = Memory::take(size);
        static_cast<char*>(frame)[0] = 1;
        static_cast<char*>(frame)[size - 1] = 1;
        benchmark::DoNotOptimize(frame);
      }
    }
    for (void* frame : frames) Memory::give(frame, size);
  });
}
BENCHMARK_TEMPLATE(TakeAndGive, Heap)->Name("FrameMemory/heap")->Arg(256)->Arg(5200);
BENCHMARK_TEMPLATE(TakeAndGive, AsioCache)->Name("FrameMemory/asio_cache")->Arg(256)->Arg(5200);
BENCHMARK_TEMPLATE(TakeAndGive, OwnCache)->Name("FrameMemory/router_cache")->Arg(256)->Arg(5200);

/// A coroutine that does nothing but be there, with its frame from `Memory`.
template <class Memory>
class Step {
 public:
  struct promise_type {
    static void* operator new(std::size_t size) { return Memory::take(size); }
    static void operator delete(void* frame, std::size_t size) noexcept { Memory::give(frame, size); }
    Step get_return_object() { return Step(std::coroutine_handle<promise_type>::from_promise(*this)); }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    std::suspend_always final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() const noexcept { std::terminate(); }
  };
  Step(Step&& other) noexcept : frame_(std::exchange(other.frame_, {})) {}
  Step& operator=(Step&&) = delete;
  ~Step() {
    if (frame_) frame_.destroy();
  }
  void resume() const { frame_.resume(); }

 private:
  explicit Step(std::coroutine_handle<promise_type> frame) : frame_(frame) {}
  std::coroutine_handle<promise_type> frame_;
};

/// Stands for what a step keeps while it waits.
template <std::size_t kBytes>
struct Kept {
  std::array<char, kBytes> bytes;
};

template <class Memory, std::size_t kBytes>
Step<Memory> step() {
  Kept<kBytes> kept;
  kept.bytes[0] = 1;
  benchmark::DoNotOptimize(kept);
  co_await std::suspend_always();
  benchmark::DoNotOptimize(kept);
}

/// Three steps inside each other, like those of an exchange: each is made, begins, waits, goes on and ends.
template <class Memory>
void NestedSteps(benchmark::State& state) {
  run_in_loop([&state] {
    const bench::Measured measured(state);
    for (auto _ : state) {
      const Step<Memory> exchange = step<Memory, 5000>();
      exchange.resume();
      {
        const Step<Memory> forward = step<Memory, 1000>();
        forward.resume();
        {
          const Step<Memory> relay = step<Memory, 300>();
          relay.resume();
          relay.resume();
        }
        forward.resume();
      }
      exchange.resume();
    }
  });
}
BENCHMARK_TEMPLATE(NestedSteps, Heap)->Name("Frames/heap");
BENCHMARK_TEMPLATE(NestedSteps, AsioCache)->Name("Frames/asio_cache");
BENCHMARK_TEMPLATE(NestedSteps, OwnCache)->Name("Frames/router_cache");

}  // namespace
}  // namespace router

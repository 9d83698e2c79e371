#include "router/base/task.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace router {
namespace {

/// A coroutine that awaits it stops until the test resumes it.
struct Gate {
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) noexcept { waiting = handle; }
  void await_resume() const noexcept {}
  void open() { std::exchange(waiting, {}).resume(); }
  std::coroutine_handle<> waiting;
};

/// Starts a task from a plain function. Tests need it as the end of the chain of coroutines.
struct Started {
  struct promise_type {
    Started get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_always final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() const { throw; }
  };
  Started(std::coroutine_handle<promise_type> own) : frame(own) {}
  Started(const Started&) = delete;
  Started& operator=(const Started&) = delete;
  ~Started() { frame.destroy(); }
  bool done() const { return frame.done(); }
  std::coroutine_handle<promise_type> frame;
};

template <class T>
Started start(Task<T> task, std::optional<T>& into) {
  into = co_await std::move(task);
}

Task<int> number(int value) { co_return value; }
Task<int> number_behind(Gate& gate, int value) {
  co_await gate;
  co_return value;
}
Task<int> sum_behind(Gate& gate) {
  const int first = co_await number_behind(gate, 1);
  const int second = co_await number_behind(gate, 2);
  co_return first + second;
}

TEST(Task, DoesNothingBeforeItIsAwaited) {
  bool ran = false;
  const auto mark = [](bool& flag) -> Task<int> {
    flag = true;
    co_return 0;
  };
  { const Task<int> dropped = mark(ran); }
  EXPECT_FALSE(ran);
}

TEST(Task, HandsItsValueToWhoeverAwaitsIt) {
  std::optional<int> result;
  const Started started = start(number(7), result);
  EXPECT_TRUE(started.done());
  EXPECT_EQ(result, 7);
}

TEST(Task, HandsOverValuesThatCanOnlyBeMoved) {
  const auto make = []() -> Task<std::unique_ptr<int>> { co_return std::make_unique<int>(3); };
  std::optional<std::unique_ptr<int>> result;
  const Started started = start(make(), result);
  EXPECT_EQ(**result, 3);
}

TEST(Task, GoesOnThroughEveryLevelWhenTheInnermostGoesOn) {
  Gate gate;
  std::optional<int> result;
  const Started started = start(sum_behind(gate), result);
  EXPECT_FALSE(result);
  gate.open();
  EXPECT_FALSE(result);
  gate.open();
  EXPECT_EQ(result, 3);
}

TEST(Task, ThrowsWhereItIsAwaitedWhatItsBodyThrew) {
  const auto fail = []() -> Task<int> {
    throw std::runtime_error("broken");
    co_return 0;
  };
  const auto attempt = [](Task<int> task) -> Task<std::string> {
    try {
      co_await std::move(task);
    } catch (const std::runtime_error& error) {
      co_return error.what();
    }
    co_return "nothing";
  };
  std::optional<std::string> result;
  const Started started = start(attempt(fail()), result);
  EXPECT_EQ(result, "broken");
}

TEST(Task, DestroysAllThatItAwaitsWhenItIsDestroyedUnfinished) {
  Gate gate;
  const auto alive = std::make_shared<int>();
  const auto hold = [](std::shared_ptr<int>, Gate& at) -> Task<int> { co_return co_await number_behind(at, 1); };
  std::optional<int> result;
  {
    const Started started = start(hold(alive, gate), result);
    EXPECT_EQ(alive.use_count(), 2);
  }
  EXPECT_EQ(alive.use_count(), 1);
  EXPECT_FALSE(result);
}

TEST(Task, NeedsNoStackForALongLoopOfChildrenThatNeverWait) {
  const auto count = []() -> Task<int> {
    int sum = 0;
    for (int i = 0; i < 1'000'000; ++i) sum += co_await number(1);
    co_return sum;
  };
  std::optional<int> result;
  const Started started = start(count(), result);
  EXPECT_EQ(result, 1'000'000);
}

TEST(FrameCache, GivesUsableMemoryOfEverySize) {
  std::vector<std::pair<void*, std::size_t>> frames;
  for (std::size_t size = 1; size < 10'000; size += 61) {
    void* frame = allocate_frame(size);
    std::memset(frame, 0xab, size);
    frames.emplace_back(frame, size);
  }
  for (const auto& [frame, size] : frames) {
    EXPECT_EQ(static_cast<unsigned char*>(frame)[size - 1], 0xab);
    free_frame(frame, size);
  }
}

}  // namespace
}  // namespace router

#include "router/runtime/shard.h"

#include <gtest/gtest.h>

#include <functional>
#include <new>
#include <stdexcept>
#include <utility>

namespace router::runtime {
namespace {

using std::chrono::milliseconds;

class Alarm final : public Timer {
 public:
  explicit Alarm(std::function<void()> action) : action_(std::move(action)) {}

 private:
  void expired() override { action_(); }
  std::function<void()> action_;
};

TEST(Shard, GoesOnAfterPostedWorkThatThrows) {
  const SteadyClock clock;
  Shard shard(0, clock);
  bool later = false;
  shard.post([] { throw std::runtime_error("broken"); });
  shard.post([] { throw std::bad_alloc(); });
  shard.post([&] {
    later = true;
    shard.stop();
  });
  shard.run();
  EXPECT_TRUE(later);
}

TEST(Shard, TellsTheOtherTimersWhenOneThrows) {
  const SteadyClock clock;
  Shard shard(0, clock);
  int told = 0;
  Alarm broken([] { throw std::bad_alloc(); });
  Alarm due_at_the_same_time([&] { ++told; });
  Alarm last([&] {
    ++told;
    shard.stop();
  });
  const TimePoint soon = shard.now() + milliseconds(1);
  shard.schedule(broken, soon);
  shard.schedule(due_at_the_same_time, soon);
  shard.schedule(last, soon + milliseconds(1));
  shard.run();
  EXPECT_EQ(told, 2);
}

}  // namespace
}  // namespace router::runtime

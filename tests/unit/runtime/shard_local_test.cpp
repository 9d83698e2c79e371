#include "router/runtime/shard_local.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>

#include "router/runtime/buffer.h"
#include "router/runtime/published.h"
#include "router/runtime/shard_set.h"
#include "router/runtime/socket.h"
#include "router/runtime/timer_queue.h"
#include "router/runtime/wakeup.h"
#include "tests/support/loopback.h"
#include "tests/support/run_on.h"
#include "tests/support/test_shard.h"

#ifdef ROUTER_CHECKS
namespace router::runtime {
namespace {

class Alarm final : public Timer {
  void expired() override {}
};

/// A shard with its own thread. The test's thread must not use what belongs to the shard.
class ShardLocalDeath : public ::testing::Test {
 protected:
  ShardLocalDeath() {
    ::testing::FLAGS_gtest_death_test_style = "threadsafe";
    shards.start();
    on_shard([] {});  // waits until the shard runs
  }
  ~ShardLocalDeath() override { shards.join(); }

  void on_shard(const std::function<void()>& work) { test::run_on(shards[0], work); }

  const SteadyClock clock;
  ShardSet shards{1, clock};
  Shard& shard = shards[0];
};

TEST_F(ShardLocalDeath, ATimerIsScheduledOnItsShard) {
  Alarm alarm;
  EXPECT_DEATH(shard.schedule(alarm, shard.clock().now()), "our bug");
  on_shard([&] { shard.schedule(alarm, kNever); });
  EXPECT_DEATH(
      {
        Alarm moved;
        shard.schedule(moved, kNever);
      },
      "our bug");
  shards.join();
}

TEST_F(ShardLocalDeath, ASocketIsUsedOnItsShard) {
  test::LoopbackListener listener;
  test::Descriptor peer = test::connect_to(listener.address());
  std::unique_ptr<Socket> socket;
  const int descriptor = peer.release();
  EXPECT_DEATH(Socket(shard, descriptor), "our bug");
  on_shard([&] { socket = std::make_unique<Socket>(shard, descriptor); });
  char byte;
  EXPECT_DEATH(static_cast<void>(socket->read({&byte, 1})), "our bug");
  EXPECT_DEATH(static_cast<void>(socket->write("x")), "our bug");
  EXPECT_DEATH(socket->arm_read(), "our bug");
  EXPECT_DEATH(socket->arm_write(), "our bug");
  EXPECT_DEATH(socket->close(), "our bug");
  shards.join();
  socket->close();  // no thread runs the shard now, so this thread may use the socket
}

TEST_F(ShardLocalDeath, ABufferIsTakenAndGivenBackOnItsShard) {
  Buffer buffer(shard.buffers());
  EXPECT_DEATH(buffer.reserve(1), "our bug");
  on_shard([&] { buffer.reserve(1); });
  EXPECT_DEATH(buffer.release(), "our bug");
  shards.join();
}

TEST_F(ShardLocalDeath, AViewIsLookedAtOnItsShard) {
  test::TestShard control;
  Published<int> published(control, shards);
  EXPECT_DEATH(static_cast<void>(published.on(shard)), "our bug");
  shards.join();
  EXPECT_FALSE(published.on(shard));
}

TEST_F(ShardLocalDeath, ACoroutineIsWokenOnItsShard) {
  Wakeup wakeup(shard);
  bool over = false;
  std::unique_ptr<TaskGroup> group;
  const auto wait = [](Wakeup& at, bool& ended) -> Task<void> {
    co_await at.wait(kNever);
    ended = true;
  };
  on_shard([&] {
    group = std::make_unique<TaskGroup>(shard, 1);
    group->try_spawn(wait(wakeup, over));
  });
  EXPECT_DEATH(wakeup.wake(), "our bug");
  on_shard([&] { wakeup.wake(); });
  EXPECT_TRUE(over);
  shards.join();
}

}  // namespace
}  // namespace router::runtime
#endif

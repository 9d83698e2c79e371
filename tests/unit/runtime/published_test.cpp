#include "router/runtime/published.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <new>
#include <vector>

#include "tests/support/failing_memory.h"
#include "tests/support/loopback.h"
#include "tests/support/test_shard.h"

namespace router::runtime {
namespace {

using test::TestShard;
using test::turn_until;

class PublishedTest : public ::testing::Test {
 protected:
  /// Runs `ask` on a shard's own thread and returns its value.
  template <class F>
  auto on(std::size_t index, F ask) {
    std::promise<decltype(ask())> answer;
    auto result = answer.get_future();
    shards[index].post([&] { answer.set_value(ask()); });
    return result.get();
  }
  int seen_by(std::size_t index) {
    return on(index, [&] { return *published.on(shards[index]); });
  }

  SteadyClock clock;
  TestShard control;
  ShardSet shards{2, clock};
  Published<int> published{control, shards};
};

TEST_F(PublishedTest, ReachesEveryShard) {
  published.publish(std::make_shared<const int>(1));
  shards.start();
  EXPECT_EQ(seen_by(0), 1);
  EXPECT_EQ(seen_by(1), 1);
  published.publish(std::make_shared<const int>(2));
  EXPECT_EQ(*published.newest(), 2);
  EXPECT_EQ(seen_by(0), 2);
  EXPECT_EQ(seen_by(1), 2);
  shards.join();
}

TEST_F(PublishedTest, LeavesASnapshotWhatItWas) {
  shards.start();
  published.publish(std::make_shared<const int>(1));
  Published<int>::Snapshot kept;
  on(0, [&] { return kept = published.on(shards[0]), 0; });
  published.publish(std::make_shared<const int>(2));
  EXPECT_EQ(seen_by(0), 2);
  EXPECT_EQ(on(0, [&] { return *kept; }), 1);
  on(0, [&] { return kept = {}, 0; });
  shards.join();
}

TEST_F(PublishedTest, GivesAnOldValueBackToTheControlThreadToBeFreed) {
  shards.start();
  auto first = std::make_shared<const int>(1);
  const std::weak_ptr<const int> watched = first;
  published.publish(std::move(first));
  Published<int>::Snapshot kept;
  on(0, [&] { return kept = published.on(shards[0]), 0; });
  published.publish(std::make_shared<const int>(2));
  EXPECT_EQ(seen_by(0) + seen_by(1), 4);
  control.poll();
  EXPECT_FALSE(watched.expired()) << "a snapshot is still held";
  on(0, [&] { return kept = {}, 0; });
  EXPECT_FALSE(watched.expired()) << "the value is not freed on the shard's thread";
  control.poll();
  EXPECT_TRUE(watched.expired());
  shards.join();
}

TEST_F(PublishedTest, ReachesAllShardsOrNoneWhenMemoryIsShort) {
  published.publish(std::make_shared<const int>(1));
  for (std::size_t served = 0;; ++served) {
    auto next = std::make_shared<const int>(2);
    const test::FailingMemory once(served, 1);
    try {
      published.publish(std::move(next));
      EXPECT_EQ(once.failed(), 0u);
      break;
    } catch (const std::bad_alloc&) {
      EXPECT_EQ(*published.newest(), 1);
      test::poll(shards[0]);
      test::poll(shards[1]);
      EXPECT_EQ(*published.on(shards[0]), 1);
      EXPECT_EQ(*published.on(shards[1]), 1);
    }
  }
  test::poll(shards[0]);
  test::poll(shards[1]);
  EXPECT_EQ(*published.on(shards[0]), 2);
  EXPECT_EQ(*published.on(shards[1]), 2);
}

TEST_F(PublishedTest, NeedsNoMemoryToGiveAValueBack) {
  published.publish(std::make_shared<const int>(1));
  test::poll(shards[0]);
  auto next = published.prepare(std::make_shared<const int>(2));
  const std::weak_ptr<const int> watched = published.newest();
  Published<int>::Snapshot kept = published.on(shards[0]);
  {
    const test::FailingMemory none(0);
    published.publish(std::move(next));
    kept = {};
    EXPECT_EQ(none.failed(), 0u);
  }
  test::poll(shards[0]);
  test::poll(shards[1]);
  control.poll();
  EXPECT_TRUE(watched.expired());
}

TEST_F(PublishedTest, WorkForAllShardsGoesToAllOrNoneWhenMemoryIsShort) {
  int ran = 0;
  for (std::size_t served = 0;; ++served) {
    const test::FailingMemory once(served, 1);
    try {
      shards.post_to_all([&](Shard&) { ++ran; });
      break;
    } catch (const std::bad_alloc&) {
      test::poll(shards[0]);
      test::poll(shards[1]);
      EXPECT_EQ(ran, 0);
    }
  }
  test::poll(shards[0]);
  test::poll(shards[1]);
  EXPECT_EQ(ran, 2);
}

TEST(Shards, RunEachOnAThreadOfItsOwnUntilTheyAreJoined) {
  const SteadyClock clock;
  ShardSet shards(3, clock);
  std::atomic<int> on_its_own{0};
  std::atomic<bool> timer_rang{false};
  shards.post_to_all([&](Shard& shard) { on_its_own += shard.on_this_thread() ? 1 : 0; });
  shards.start();
  struct Ring final : Timer {
    explicit Ring(std::atomic<bool>& flag) : rang(flag) {}
    void expired() override { rang = true; }
    std::atomic<bool>& rang;
  } ring(timer_rang);
  shards[1].post([&] { shards[1].schedule(ring, shards[1].now() + std::chrono::milliseconds(5)); });
  TestShard here;
  EXPECT_TRUE(turn_until(here, [&] { return timer_rang.load(); })) << "the shard's own clock drives its timers";
  shards.join();
  EXPECT_EQ(on_its_own, 3);
  EXPECT_FALSE(shards[0].on_this_thread());
}

TEST(Shards, AreAsManyAsTheProcessMayUse) { EXPECT_GE(default_shard_count(), 1u); }

}  // namespace
}  // namespace router::runtime

#include "router/runtime/round.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <vector>

#include "tests/support/failing_memory.h"
#include "tests/support/loopback.h"
#include "tests/support/test_shard.h"

namespace router::runtime {
namespace {

using test::FailingMemory;
using test::TestShard;
using test::turn_until;

TEST(Round, GoesToEveryShardThenBackAndMayBeginAgain) {
  const SteadyClock clock;
  TestShard control;
  ShardSet shards(2, clock);
  std::vector<int> seen(2);
  int rounds = 0;
  Round round(
      control, shards, [&](Shard& shard) { seen[shard.index()] += shard.on_this_thread() ? 1 : 100; }, [&] { ++rounds; });
  shards.start();
  for (int expected = 1; expected <= 3; ++expected) {
    const FailingMemory none(0);
    round.begin();
    EXPECT_TRUE(round.under_way());
    EXPECT_EQ(none.failed(), 0u);
    while (round.under_way()) control.poll();
    EXPECT_EQ(rounds, expected);
  }
  shards.join();
  EXPECT_EQ(seen, (std::vector{3, 3}));
}

TEST(Round, EndsAlsoWhenAShardThrows) {
  const SteadyClock clock;
  TestShard control;
  ShardSet shards(2, clock);
  bool over = false;
  Round round(
      control, shards,
      [](Shard& shard) {
        if (shard.index() == 0) throw std::runtime_error("broken");
      },
      [&] { over = true; });
  round.begin();
  test::poll(shards[0]);
  control.poll();
  EXPECT_FALSE(over);
  test::poll(shards[1]);
  control.poll();
  EXPECT_TRUE(over);
}

TEST(Round, IsDroppedWithTheShards) {
  const SteadyClock clock;
  TestShard control;
  ShardSet shards(2, clock);
  Round round(
      control, shards, [](Shard&) {}, [] { FAIL(); });
  round.begin();
  test::poll(shards[0]);
}

}  // namespace
}  // namespace router::runtime

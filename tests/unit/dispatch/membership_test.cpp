#include "router/dispatch/membership.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>

#include "router/runtime/shard_set.h"
#include "tests/support/test_shard.h"

namespace router::dispatch {
namespace {

using namespace std::chrono_literals;

std::chrono::nanoseconds boot_clock = 1h;
std::chrono::nanoseconds read_boot_clock() noexcept { return boot_clock; }

TEST(Coverage, EndsAtItsTime) {
  boot_clock = 1h;
  Coverage coverage(read_boot_clock);
  EXPECT_FALSE(coverage.covers_now()) << "nothing has been acknowledged yet";
  coverage.set_until(1h + 3s);
  EXPECT_TRUE(coverage.covers_now());
  boot_clock += 3s - 1ns;
  EXPECT_TRUE(coverage.covers_now());
  boot_clock += 1ns;
  EXPECT_FALSE(coverage.covers_now());
  coverage.set_until(Coverage::kAlways);
  EXPECT_TRUE(coverage.covers_now());
}

TEST(Coverage, UsesAClockThatRuns) {
  Coverage coverage;
  coverage.set_until(Coverage::boot_time() + 1h);
  EXPECT_TRUE(coverage.covers_now());
  coverage.set_until(Coverage::boot_time());
  EXPECT_FALSE(coverage.covers_now());
}

Task<bool> run(Membership& membership, runtime::Shard& shard) {
  runtime::Wakeup wakeup(shard);
  CoveredRun run(wakeup);
  membership.add(run);
  while (!run.cut()) co_await wakeup.wait(kNever);
  co_return true;
}

TEST(Membership, CutsWhatRunsOnThatShardAndNothingLater) {
  test::TestShard shard{0};
  test::TestShard other{1};
  Membership membership(2);
  auto first = shard.start(run(membership, shard));
  auto second = shard.start(run(membership, shard));
  auto elsewhere = other.start(run(membership, other));
  membership.cut(shard);
  EXPECT_TRUE(first.done() && second.done());
  EXPECT_FALSE(elsewhere.done());
  auto later = shard.start(run(membership, shard));
  shard.poll();
  EXPECT_FALSE(later.done());
  membership.cut(other);
  membership.cut(shard);
  EXPECT_TRUE(later.done() && elsewhere.done());
}

TEST(Membership, ForgetsWhatHasEnded) {
  test::TestShard shard{0};
  Membership membership(1);
  {
    runtime::Wakeup wakeup(shard);
    CoveredRun run(wakeup);
    membership.add(run);
  }
  membership.cut(shard);  // touches nothing that is gone
}

TEST(Membership, CutsOnEveryShard) {
  ManualClock clock;
  runtime::ShardSet shards(2, clock);
  const auto membership = std::make_shared<Membership>(2);
  runtime::Wakeup wakeups[] = {runtime::Wakeup(shards[0]), runtime::Wakeup(shards[1])};
  CoveredRun first(wakeups[0]);
  CoveredRun second(wakeups[1]);
  membership->add(first);
  membership->add(second);
  Membership::cut_all(membership, shards);
  test::poll(shards[0]);
  EXPECT_TRUE(first.cut());
  EXPECT_FALSE(second.cut());
  test::poll(shards[1]);
  EXPECT_TRUE(second.cut());
}

}  // namespace
}  // namespace router::dispatch

#include "router/runtime/signals.h"

#include <gtest/gtest.h>

#include <csignal>
#include <memory>
#include <new>

#include "tests/support/test_shard.h"

namespace router::runtime {
namespace {

using test::TestShard;

class SignalsTest : public ::testing::Test {
 protected:
  void raise(int signal) {
    ASSERT_EQ(::raise(signal), 0);
    shard.poll();
  }
  TestShard shard;
  int ends = 0;
  int reloads = 0;
  std::unique_ptr<Signals> signals = std::make_unique<Signals>(
      shard, [this] { ++ends; }, [this] { ++reloads; });
};

TEST_F(SignalsTest, EndOnTermAndIntAndReloadOnHup) {
  raise(SIGTERM);
  EXPECT_EQ(ends, 1);
  raise(SIGINT);
  EXPECT_EQ(ends, 2);
  raise(SIGHUP);
  raise(SIGHUP);
  EXPECT_EQ(reloads, 2);
  EXPECT_EQ(ends, 2);
}

TEST_F(SignalsTest, AreHeardAfterACallThatThrows) {
  signals.reset();
  signals = std::make_unique<Signals>(
      shard, [this] { ++ends; },
      [this] {
        ++reloads;
        throw std::bad_alloc();
      });
  ASSERT_EQ(::raise(SIGHUP), 0);
  EXPECT_THROW(shard.poll(), std::bad_alloc);  // the loop of a running shard catches it
  EXPECT_EQ(reloads, 1);
  raise(SIGTERM);
  EXPECT_EQ(ends, 1);
}

TEST_F(SignalsTest, IgnorePipe) {
  raise(SIGPIPE);
  EXPECT_EQ(ends + reloads, 0);
}

TEST_F(SignalsTest, CallNobodyOnceTheyAreGone) {
  ASSERT_EQ(::raise(SIGHUP), 0);  // the signal has arrived, and the callback has not been called
  signals.reset();
  shard.poll();
  EXPECT_EQ(reloads, 0);
}

TEST(SignalsDeath, MayBeDestroyedByTheirOwnCall) {
  TestShard shard;
  std::unique_ptr<Signals> signals;
  signals = std::make_unique<Signals>(
      shard, [&] { signals.reset(); }, [] {});
  ASSERT_EQ(::raise(SIGTERM), 0);
  shard.poll();
  EXPECT_EQ(signals, nullptr);
  EXPECT_EXIT(::raise(SIGTERM), ::testing::KilledBySignal(SIGTERM), "");
}

}  // namespace
}  // namespace router::runtime

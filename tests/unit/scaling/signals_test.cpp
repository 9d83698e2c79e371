#include "router/scaling/signals.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/unit/scaling/cases.h"

namespace router::scaling::test {
namespace {

/// A member with a constant load of `busy` slots, `rate` arrivals a second, each held for 0.5 s.
Signal at(Seconds uptime, double busy, double rate, std::uint64_t incarnation = 1) {
  Signal signal;
  signal.incarnation = incarnation;
  signal.uptime = uptime;
  signal.since_start.busy = busy * uptime.count();
  signal.since_start.arrivals = signal.since_start.returns = static_cast<std::uint64_t>(rate * uptime.count());
  signal.since_start.held = 0.5 * static_cast<double>(signal.since_start.returns);
  return signal;
}

class ScalingSignals : public testing::Test {
 protected:
  ScalingSignals() { signals_.set_members({"a", "b"}); }
  bool hear(const std::string& member, int second, double busy, double rate = 0, std::uint64_t incarnation = 1) {
    return signals_.hear(member, at(seconds(second), busy, rate, incarnation), kStart + seconds(second));
  }

  Signals signals_{seconds(15)};
};

TEST_F(ScalingSignals, AddsTheMeansOfAllMembers) {
  for (int second = 1000; second <= 1010; ++second) {
    hear("a", second, 2, 4);
    hear("b", second, 0.5, 10);
  }
  EXPECT_NEAR(signals_.load(seconds(5)).busy, 2.5, 1e-9);
  EXPECT_NEAR(signals_.load(seconds(5)).arrivals, 14, 1e-9);
}

TEST_F(ScalingSignals, AveragesOverTheTimeThatIsAskedFor) {
  Signal signal = at(seconds(100), 0, 0);
  for (int second = 1; second <= 15; ++second) {
    signal.uptime += seconds(1);
    signal.since_start.waiting += second > 10 ? 3 : 0;  // three wait for the last 5 s
    signals_.hear("a", signal, kStart + seconds(second));
  }
  EXPECT_NEAR(signals_.load(seconds(5)).waiting, 3, 1e-9);
  EXPECT_NEAR(signals_.load(seconds(10)).waiting, 1.5, 1e-9);
  EXPECT_NEAR(signals_.load(Seconds(7.5)).waiting, 2, 1e-9);
}

TEST_F(ScalingSignals, LostFramesChangeNoMean) {
  Signals all = signals_;
  Signal signal = at(seconds(100), 0, 0);
  for (int second = 1; second <= 20; ++second) {
    signal.uptime += seconds(1);
    signal.since_start.busy += second;
    signal.since_start.arrivals += 7;
    all.hear("a", signal, kStart + seconds(second));
    if (second == 1 || second == 10 || second == 20) signals_.hear("a", signal, kStart + seconds(second));
  }
  EXPECT_NEAR(signals_.load(seconds(10)).busy, all.load(seconds(10)).busy, 1e-9);
  EXPECT_NEAR(signals_.load(seconds(10)).arrivals, 7, 1e-9);
}

TEST_F(ScalingSignals, ANewIncarnationBeginsAtZero) {
  for (int second = 1000; second <= 1010; ++second) hear("a", second, 2);
  EXPECT_TRUE(hear("a", 2, 5, 0, 2));
  EXPECT_NEAR(signals_.load(seconds(5)).busy, 5, 1e-9);
}

TEST_F(ScalingSignals, TheWholeLifeOfAMemberIsNoMeanOfNow) {
  hear("a", 5000, 7);
  EXPECT_EQ(signals_.load(seconds(5)), Load{});
  EXPECT_FALSE(signals_.complete(kStart + seconds(5000), seconds(3)));
}

TEST_F(ScalingSignals, AreIncompleteWhileAMemberIsSilentAndKeepItsLastRates) {
  for (int second = 1; second <= 10; ++second) {
    hear("a", second, 1);
    hear("b", second, 2);
  }
  for (int second = 11; second <= 14; ++second) hear("a", second, 1);
  EXPECT_TRUE(signals_.complete(kStart + seconds(13), seconds(3)));
  EXPECT_FALSE(signals_.complete(kStart + seconds(14), seconds(3)));
  EXPECT_NEAR(signals_.load(seconds(5)).busy, 3, 1e-9);
  signals_.set_members({"a"});  // it has left
  EXPECT_TRUE(signals_.complete(kStart + seconds(14), seconds(3)));
  EXPECT_NEAR(signals_.load(seconds(5)).busy, 1, 1e-9);
  signals_.set_members({"a", "c"});  // another one has come and said nothing yet
  EXPECT_FALSE(signals_.complete(kStart + seconds(14), seconds(3)));
}

TEST_F(ScalingSignals, BelievesNoImpossibleSignal) {
  ASSERT_TRUE(hear("a", 10, 1, 4));
  const auto refused = [&](auto change) {
    Signal signal = at(seconds(20), 1, 4);
    change(signal);
    return !signals_.hear("a", signal, kStart + seconds(20));
  };
  EXPECT_FALSE(hear("stranger", 10, 1));
  EXPECT_FALSE(hear("a", 9, 1, 4)) << "an older frame";
  EXPECT_TRUE(refused([](Signal& signal) { signal.since_start.busy = NAN; }));
  EXPECT_TRUE(refused([](Signal& signal) { signal.since_start.waiting = -1; }));
  EXPECT_TRUE(refused([](Signal& signal) { signal.since_start.held = INFINITY; }));
  EXPECT_TRUE(refused([](Signal& signal) { signal.uptime = Seconds(INFINITY); }));
  EXPECT_TRUE(refused([](Signal& signal) { signal.since_start.arrivals = 39; }));
  EXPECT_FALSE(refused([](Signal&) {}));
}

TEST_F(ScalingSignals, TellsTheMeanRetryAfterOfRefusals) {
  Signal signal = at(seconds(5), 0, 0);
  signal.since_start = {.told = 30, .arrivals = 40, .refusals = 10};
  signals_.hear("a", signal, kStart);
  EXPECT_NEAR(signals_.load(seconds(5)).told.count(), 3, 1e-9);
}

TEST_F(ScalingSignals, TheMeanHeldTimeIsKnownAfterSixteenReturns) {
  MeanHeld mean;
  hear("a", 5, 1, 3);
  mean.add(signals_.take_returns());
  EXPECT_EQ(mean.value(), Seconds(0));
  hear("b", 5, 1, 3);
  mean.add(signals_.take_returns());
  EXPECT_NEAR(mean.value().count(), 0.5, 1e-9);
  mean.add(signals_.take_returns());  // nothing new
  mean.add({.held = 64, .count = 32});
  EXPECT_GT(mean.value(), Seconds(0.8));
  EXPECT_LT(mean.value(), Seconds(1.8));
  mean.add({.held = 640, .count = 320});
  EXPECT_NEAR(mean.value().count(), 2, 1e-9);
}

}  // namespace
}  // namespace router::scaling::test

#include "router/scaling/scaler.h"

#include <gtest/gtest.h>

#include "tests/unit/scaling/cases.h"

namespace router::scaling::test {
namespace {

/// A leader and the target that it scales; one decision a second.
class ScalingScaler : public testing::Test {
 protected:
  ScalingScaler() { scaler_.set_members({"a"}); }

  /// One second in which `busy` slots were busy. What is decided is written.
  Outcome second(double busy) {
    total_.busy += busy;
    signal_.uptime += seconds(1);
    signal_.since_start = total_;
    seen_.now += seconds(1);
    scaler_.hear("a", signal_, seen_.now);
    return decide();
  }
  Outcome decide() {
    const Outcome outcome = scaler_.decide(seen_);
    seen_.foreign_change = seen_.wake = false;
    if (starts_) seen_.ready = seen_.replicas;  // what was asked for now is ready a second later
    if (outcome.decision.write) seen_.replicas = outcome.decision.replicas;
    seen_.ready = std::min(seen_.ready, seen_.replicas);
    return outcome;
  }
  Outcome run(int count, double busy) {
    Outcome last;
    for (int done = 0; done < count; ++done) last = second(busy);
    return last;
  }
  void somebody_sets(int replicas) {
    seen_.replicas = seen_.ready = replicas;
    seen_.foreign_change = true;
  }

  Scaler scaler_{{.min_instances = 0, .max_instances = 50, .target = 1}};
  Observation seen_{.now = kStart, .leader_since = kStart, .replicas = 1, .ready = 1};
  Integrals total_;
  Signal signal_;
  bool starts_ = true;
};

TEST_F(ScalingScaler, KeepsWhatAShortBurstAskedForTwentyPollingIntervals) {
  run(400, 2);
  EXPECT_EQ(seen_.replicas, 2);
  run(4, 5);
  EXPECT_EQ(seen_.replicas, 5);
  EXPECT_EQ(run(18, 2).decision.reason, Reason::kKeptByWindow);
  EXPECT_EQ(seen_.replicas, 5);
  run(5, 2);
  EXPECT_EQ(seen_.replicas, 3);  // by the mean of two minutes
  run(220, 2);
  EXPECT_EQ(seen_.replicas, 2);
}

TEST_F(ScalingScaler, KeepsWhatTheLoadNeededForLongForTheWindow) {
  run(400, 2);
  run(150, 5);
  EXPECT_EQ(seen_.replicas, 5);
  EXPECT_EQ(run(58, 2).decision.reason,
            Reason::kKeptByWindow);  // pods were seen to start in one second: the least window, 60 s
  EXPECT_EQ(seen_.replicas, 5);
  run(200, 2);
  EXPECT_EQ(seen_.replicas, 2);
}

TEST_F(ScalingScaler, DoublesAtMostOnceInFiveSeconds) {
  starts_ = false;
  int before = 0;
  for (int done = 0; done < 30; ++done) {
    if (done % 5 == 0) before = seen_.replicas;
    second(1000);
    EXPECT_LE(seen_.replicas, std::max({4 * before, 2 * (before + 4), before + 8}));  // two steps touch five seconds
  }
  EXPECT_EQ(seen_.replicas, 50);
}

TEST_F(ScalingScaler, ANewLeaderGoesDownOnlyAfterAWholeWindow) {
  seen_.replicas = seen_.ready = 5;
  EXPECT_EQ(run(299, 1).decision.reason, Reason::kFrozenLeaderYoung);
  EXPECT_EQ(run(1, 1).decision.reason, Reason::kScaledDown);
  EXPECT_EQ(seen_.replicas, 1);
}

TEST_F(ScalingScaler, GoesToZeroWhenIdleAndIsWokenAtOnce) {
  run(10, 1);
  EXPECT_EQ(run(300, 0).decision.replicas, 1);
  EXPECT_EQ(run(10, 0).decision.reason, Reason::kIdle);
  EXPECT_EQ(seen_.replicas, 0);
  EXPECT_EQ(run(500, 0).decision.replicas, 0);
  seen_.wake = true;  // no signal yet
  const Outcome woken = decide();
  EXPECT_EQ(woken.decision, (Decision{.replicas = 1, .reason = Reason::kWaking, .write = true}));
  EXPECT_EQ(woken.figures.idle, Seconds(0));
}

TEST_F(ScalingScaler, TakesTheNumberOfSomebodyElseForAWindow) {
  run(400, 2);
  somebody_sets(5);
  EXPECT_EQ(second(2).decision.reason, Reason::kFrozenForeignChange);  // 60 s: pods were seen to start in one
  EXPECT_EQ(run(58, 9).decision.reason, Reason::kFrozenForeignChange);
  EXPECT_EQ(seen_.replicas, 5);
  run(10, 9);
  EXPECT_EQ(seen_.replicas, 9);
}

TEST_F(ScalingScaler, LeavesATargetAloneThatIsChangedThreeTimes) {
  for (int time = 0; time < 3; ++time) {
    run(199, 2);
    somebody_sets(5 + time);
    second(2);
  }
  EXPECT_EQ(run(5000, 20).decision, (Decision{.replicas = 7, .reason = Reason::kContested}));
  scaler_.configure({.max_instances = 50, .target = 1});
  run(1, 20);
  EXPECT_EQ(seen_.replicas, 14);
}

TEST_F(ScalingScaler, ThreeChangesInMoreThanTenMinutesAreNoContest) {
  for (int time = 0; time < 3; ++time) {
    run(399, 2);
    somebody_sets(5);
    second(2);
  }
  run(400, 20);
  EXPECT_EQ(seen_.replicas, 20);
}

TEST_F(ScalingScaler, ReplicasThatSomebodyElseSetToZeroStayZero) {
  run(400, 2);
  somebody_sets(0);
  second(0);
  seen_.wake = true;
  EXPECT_EQ(decide().decision, (Decision{.replicas = 0, .reason = Reason::kPaused}));
  EXPECT_EQ(run(5000, 3).decision.reason, Reason::kPaused);
  somebody_sets(1);
  run(400, 3);
  EXPECT_EQ(seen_.replicas, 3);
}

// "From 2 to 96 replicas": pods that do not start must not let the number grow.
TEST_F(ScalingScaler, PodsThatDoNotStartDoNotMakeItRunAway) {
  starts_ = false;
  seen_.ready = 1;
  run(3000, 6);
  EXPECT_EQ(seen_.replicas, 6);
}

// A pod that is pending for ever must not keep the others for ever.
TEST_F(ScalingScaler, PodsThatDoNotStartAreGivenUpWhenNobodyNeedsThemAndThoseThatServeStay) {
  starts_ = false;
  seen_.ready = 1;
  run(3000, 6);
  seen_.ready = 3;
  run(3000, 6);
  EXPECT_EQ(seen_.replicas, 6);
  int least = 6;
  for (int done = 0; done < 3000; ++done) {
    second(1);
    least = std::min(least, seen_.ready);
    if (seen_.replicas > 3) {
      EXPECT_EQ(seen_.ready, 3);
    }
  }
  EXPECT_EQ(seen_.replicas, 1) << "once none is pending, it goes on as usual";
}

TEST_F(ScalingScaler, TheMeasuredStartOfPodsSetsTheWindow) {
  starts_ = false;
  run(10, 2);
  run(9, 2);  // asked for in the first second; ready after 20
  starts_ = true;
  EXPECT_NEAR(run(2, 2).figures.pod_start.count(), 20, 1.5);
}

}  // namespace
}  // namespace router::scaling::test

#include <gtest/gtest.h>

#include <limits>

#include "tests/unit/scaling/cases.h"

namespace router::scaling::test {
namespace {

TEST(ScalingDecide, NothingChangesWhileTheDemandIsThatOfTheReplicas) {
  EXPECT_EQ(decide(steady()), (Decision{.replicas = 3, .reason = Reason::kSteady, .write = false}));
}

TEST(ScalingDecide, BusyWaitingAndHeldRequestsAreTheDemandThatIsThere) {
  Figures figures = steady();
  figures.load = {.busy = 2, .waiting = 1.5, .waking = 0.7};
  EXPECT_DOUBLE_EQ(demand_of(figures).present, 4.2);
  EXPECT_EQ(want_of(figures), 6);  // 4.2 / 0.7
  EXPECT_EQ(decide(figures), (Decision{.replicas = 6, .reason = Reason::kScaledUp, .write = true}));
}

TEST(ScalingDecide, WhatArrivedIsDemandThoughItWasRefused) {
  Figures figures = steady();
  figures.held = milliseconds(104);
  figures.load = {.busy = 2.9, .waiting = 1.4, .arrivals = 50, .refusals = 10, .told = seconds(1)};
  EXPECT_DOUBLE_EQ(demand_of(figures).offered, 5.2);
  EXPECT_EQ(decide(figures).replicas, 7);  // 5.2 / 0.7 = 7.43, but at most 3 + 4
  figures.replicas_before = figures.replicas = 4;
  EXPECT_EQ(decide(figures).replicas, 8);
}

// 100 clients that come back each second for a service of 10 s are 100 slots, not 1,000.
TEST(ScalingDecide, ClientsThatAreRefusedAndComeBackAreOneSlotEach) {
  Figures figures = steady();
  figures.held = seconds(10);
  figures.load = {.arrivals = 100, .refusals = 100, .told = seconds(1)};
  EXPECT_DOUBLE_EQ(demand_of(figures).offered, 100);
  figures.load.told = seconds(60);  // more than the service takes: each is another request
  EXPECT_DOUBLE_EQ(demand_of(figures).offered, 1000);
}

TEST(ScalingDecide, MoreRefusalsThanArrivalsAreNoNegativeDemand) {
  Figures figures = steady();
  figures.held = seconds(10);
  figures.load = {.arrivals = 1, .refusals = 5, .told = seconds(2)};
  EXPECT_DOUBLE_EQ(demand_of(figures).offered, 2);
}

TEST(ScalingDecide, SlotsAndTargetDivideTheDemand) {
  Figures figures = steady(42);
  figures.settings.slots = 4;
  EXPECT_EQ(want_of(figures), 15);
  figures.settings.target = 1.5;
  EXPECT_EQ(want_of(figures), 7);
  figures.settings.target = 0.7;
  figures.load.busy = 2.8;  // exactly one pod: no second one because of rounding
  EXPECT_EQ(want_of(figures), 1);
}

TEST(ScalingDecide, AtMostTwiceOrFourMoreInOneStep) {
  Figures figures = steady();
  figures.settings.max_instances = 100;
  figures.load.busy = 60;
  EXPECT_EQ(decide(figures).replicas, 7);
  figures.replicas = figures.replicas_before = 20;
  EXPECT_EQ(decide(figures).replicas, 40);
  figures.replicas = 40;  // the step from 20 is not 5 s old
  EXPECT_EQ(decide(figures), (Decision{.replicas = 40, .reason = Reason::kScaledUp, .write = false}));
  figures.replicas_before = 40;
  EXPECT_EQ(decide(figures).replicas, 80);
}

TEST(ScalingDecide, MinimumAndMaximumBind) {
  Figures figures = steady(100);
  figures.replicas = figures.replicas_before = 15;
  EXPECT_EQ(decide(figures), (Decision{.replicas = 15, .reason = Reason::kAtMaximum}));
  figures = steady(0);
  figures.settings.min_instances = 3;
  figures.highest_want = want_of(figures);
  EXPECT_EQ(decide(figures), (Decision{.replicas = 3, .reason = Reason::kAtMinimum}));
  figures.settings.max_instances = 2;  // the resource was changed: not even the window keeps the third
  figures.settings.min_instances = 1;
  figures.highest_want = 3;
  EXPECT_EQ(decide(figures).replicas, 2);
  figures.settings = {.min_instances = 5, .max_instances = 15};
  EXPECT_EQ(decide(figures).replicas, 5);
}

TEST(ScalingDecide, ScalesDownToTheHighestWantOfTheWindow) {
  Figures figures = steady(0.5);
  figures.replicas = 8;
  figures.highest_want = 8;
  EXPECT_EQ(decide(figures), (Decision{.replicas = 8, .reason = Reason::kKeptByWindow}));
  figures.highest_want = 5;
  EXPECT_EQ(decide(figures), (Decision{.replicas = 5, .reason = Reason::kScaledDown, .write = true}));
}

TEST(ScalingDecide, EachFreezeKeepsReplicasButLetsMoreBeAskedFor) {
  const auto expect_frozen = [](Figures figures, Reason reason) {
    EXPECT_EQ(decide(figures), (Decision{.replicas = 3, .reason = reason}));
    figures.load.busy = 4;
    EXPECT_EQ(decide(figures), (Decision{.replicas = 6, .reason = Reason::kScaledUp, .write = true}));
  };
  Figures figures = steady(0.5);
  EXPECT_EQ(decide(figures).replicas, 1);
  figures.signals_complete = false;
  expect_frozen(figures, Reason::kFrozenSignalsIncomplete);
  figures = steady(0.5);
  figures.rollout = true;
  expect_frozen(figures, Reason::kFrozenRolloutInProgress);
  figures = steady(0.5);
  figures.leader_age = seconds(299);
  expect_frozen(figures, Reason::kFrozenLeaderYoung);
  figures.leader_age = seconds(300);
  EXPECT_EQ(decide(figures).replicas, 1);
  figures.asked_for = seconds(91);
  expect_frozen(figures, Reason::kFrozenPodsNotStarting);
  figures.asked_for = seconds(90);
  EXPECT_EQ(decide(figures).replicas, 1);
}

TEST(ScalingDecide, AChangeBySomebodyElseStopsAllWrites) {
  for (const double busy : {0.5, 9.0}) {
    Figures figures = steady(busy);
    figures.foreign_lately = true;
    EXPECT_EQ(decide(figures), (Decision{.replicas = 3, .reason = Reason::kFrozenForeignChange}));
    figures.paused = true;
    EXPECT_EQ(decide(figures).reason, Reason::kPaused);
    figures.contested = true;
    EXPECT_EQ(decide(figures), (Decision{.replicas = 3, .reason = Reason::kContested}));
  }
}

TEST(ScalingDecide, WithoutALimitOfRequestsThereIsNoMeasure) {
  Figures figures = steady(50);
  figures.settings.slots = 0;
  EXPECT_EQ(decide(figures), (Decision{.replicas = 3, .reason = Reason::kUnlimitedConcurrency}));
}

TEST(ScalingDecide, WhatTheClusterForbidsIsTheReasonAndNothingIsWritten) {
  const std::pair<Hindrance, Reason> all[] = {{Hindrance::kFleetRequired, Reason::kFleetRequired},
                                              {Hindrance::kTargetNotMarked, Reason::kTargetNotMarked},
                                              {Hindrance::kConflictingAutoscaler, Reason::kConflictingAutoscaler},
                                              {Hindrance::kHpasUnreadable, Reason::kHpasUnreadable},
                                              {Hindrance::kManagedByAzureMl, Reason::kManagedByAzureMl}};
  for (const auto& [hindrance, reason] : all) {
    Figures figures = steady(9);
    figures.hindrance = hindrance;
    EXPECT_EQ(decide(figures), (Decision{.replicas = 3, .reason = reason}));
  }
}

TEST(ScalingDecide, ObservingDecidesAllButWritesNothing) {
  Figures figures = steady(4);
  figures.hindrance = Hindrance::kObserve;
  EXPECT_EQ(decide(figures), (Decision{.replicas = 6, .reason = Reason::kScaledUp, .write = false}));
}

TEST(ScalingDecide, TheLastReplicaStaysUntilTheDeploymentIsIdle) {
  Figures figures = steady(0);
  figures.settings.min_instances = 0;
  figures.replicas = figures.replicas_before = figures.ready = 1;
  figures.highest_want = 0;
  figures.idle = seconds(299);
  EXPECT_EQ(decide(figures).replicas, 1);
  figures.idle = seconds(300);
  EXPECT_EQ(decide(figures), (Decision{.replicas = 0, .reason = Reason::kIdle, .write = true}));
  figures.window = seconds(600);  // never shorter than the window
  EXPECT_EQ(decide(figures).replicas, 1);
  figures.idle = seconds(600);
  figures.signals_complete = false;
  EXPECT_EQ(decide(figures), (Decision{.replicas = 1, .reason = Reason::kFrozenSignalsIncomplete}));
}

TEST(ScalingDecide, ARequestWakesADeploymentWithoutReplicas) {
  Figures figures = steady(0);
  figures.settings.min_instances = 0;
  figures.replicas = figures.replicas_before = figures.ready = figures.highest_want = 0;
  EXPECT_EQ(decide(figures), (Decision{.replicas = 0, .reason = Reason::kIdle}));  // without a request, none is started
  figures.requests_waking = true;                                                  // before any signal says how many
  figures.idle = hours(5);
  EXPECT_EQ(decide(figures), (Decision{.replicas = 1, .reason = Reason::kWaking, .write = true}));
  figures.load.waking = 2;
  EXPECT_EQ(decide(figures).replicas, 3);
  figures.load.waking = 50;
  EXPECT_EQ(decide(figures).replicas, 4);
  figures.replicas = 15;
  EXPECT_EQ(decide(figures).reason, Reason::kWaking);
}

// If replicas that were asked for do not start, the demand does not grow by that.
TEST(ScalingDecide, TheWantDoesNotDependOnTheReplicas) {
  Figures figures = steady(6);
  const int want = want_of(figures);
  for (int replicas = 0; replicas < 15; ++replicas) {
    figures.replicas = figures.replicas_before = replicas;
    figures.ready = replicas / 2;
    EXPECT_EQ(want_of(figures), want);
  }
}

TEST(ScalingDecide, EnormousFiguresStayWithinTheMaximum) {
  Figures figures = steady();
  figures.load.busy = std::numeric_limits<double>::max();
  figures.settings.target = 0.01;
  EXPECT_EQ(want_of(figures), 15);
}

TEST(ScalingDecide, AveragingAndWindowFollowTheStartOfAPod) {
  Settings settings;
  EXPECT_EQ(averaging(settings, seconds(6)), seconds(2));
  EXPECT_EQ(averaging(settings, seconds(30)), seconds(5));
  EXPECT_EQ(averaging(settings, seconds(600)), seconds(15));
  EXPECT_EQ(peak_window(settings), seconds(20));
  EXPECT_EQ(window(settings, seconds(3)), seconds(60));
  EXPECT_EQ(window(settings, seconds(30)), seconds(300));
  EXPECT_EQ(window(settings, seconds(300)), seconds(600));
  settings.polling_interval = seconds(40);
  EXPECT_EQ(averaging(settings, seconds(6)), seconds(40));
  EXPECT_EQ(window(settings, seconds(30)), seconds(800));
}

}  // namespace
}  // namespace router::scaling::test

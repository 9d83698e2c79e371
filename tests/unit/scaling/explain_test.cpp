#include "router/scaling/explain.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/unit/scaling/cases.h"

namespace router::scaling::test {
namespace {

Figures example() {
  Figures figures = steady();
  figures.load = {.busy = 2.9, .waiting = 1.4, .arrivals = 41.2};
  figures.held = milliseconds(104);
  figures.averaged = seconds(10);
  return figures;
}

TEST(ScalingExplain, SaysTheFiguresOfTheDecision) {
  EXPECT_EQ(explain(example(), {.replicas = 7, .reason = Reason::kScaledUp}),
            "3 -> 7: busy 2.9 + waiting 1.4 of 3 slots in 10 s; offered 41.2/s x 104 ms = 4.3; target 70 %; at most 15");
}

TEST(ScalingExplain, SaysWhatIsHeldAndWhatComesAgain) {
  Figures figures = example();
  figures.load = {.busy = 3, .waking = 2, .arrivals = 30, .refusals = 10, .told = seconds(1)};
  figures.held = seconds(10);
  EXPECT_EQ(
      explain(figures, {.replicas = 7, .reason = Reason::kScaledUp}),
      "3 -> 7: busy 3.0 + waiting 0.0 + held 2.0 of 3 slots in 10 s; offered 20.0/s x 10 s + refused 10.0/s x 1 s = 210.0; "
      "target 70 %; wanted 15, at most twice or 4 more in 5 s");
}

TEST(ScalingExplain, SaysWhatKeepsTheReplicas) {
  const Figures figures = steady();
  EXPECT_EQ(explain(figures, {.replicas = 3, .reason = Reason::kKeptByWindow}),
            "3: busy 2.0 + waiting 0.0 of 3 slots in 5 s; target 70 %; wanted 3 in the last 300 s");
  EXPECT_EQ(explain(figures, {.replicas = 3, .reason = Reason::kAtMinimum}),
            "3: busy 2.0 + waiting 0.0 of 3 slots in 5 s; target 70 %; at least 1");
}

TEST(ScalingExplain, HasAtMost256BytesWhateverTheFiguresAre) {
  Figures figures = example();
  constexpr double kHuge = std::numeric_limits<double>::max();
  figures.load = {
      .busy = kHuge, .waiting = kHuge, .waking = kHuge, .arrivals = kHuge, .refusals = kHuge / 2, .told = Seconds(1e300)};
  figures.held = Seconds(kHuge);
  figures.averaged = figures.window = Seconds(1e300);
  figures.settings = {.max_instances = std::numeric_limits<int>::max(), .target = 1e300, .slots = 1e300};
  figures.replicas = figures.ready = figures.highest_want = std::numeric_limits<int>::max() - 1;
  for (const Reason reason : {Reason::kScaledUp, Reason::kKeptByWindow, Reason::kAtMinimum}) {
    EXPECT_LE(explain(figures, {.replicas = std::numeric_limits<int>::max(), .reason = reason}).size(), kMessageMost);
  }
}

TEST(ScalingExplain, EachReasonHasItsOwnName) {
  std::set<std::string_view> names;
  for (int reason = 0; reason <= static_cast<int>(Reason::kManagedByAzureMl); ++reason) {
    names.insert(name_of(static_cast<Reason>(reason)));
  }
  EXPECT_EQ(names.size(), static_cast<std::size_t>(Reason::kManagedByAzureMl) + 1);
  EXPECT_EQ(names.count(""), 0U);
}

// The numbers of a message give the decision.
TEST(ScalingExplain, SaysWhatElseThanTheDemandOfNowHasDecided) {
  Figures figures = steady(0.5);
  figures.replicas = figures.ready = 8;
  figures.highest_want = 5;
  EXPECT_NE(explain(figures, decide(figures)).find("; wanted 5 in the last 300 s"), std::string::npos);
  figures = steady(10);
  figures.replicas = figures.ready = figures.replicas_before = 1;
  EXPECT_NE(explain(figures, decide(figures)).find("; wanted 15, at most twice or 4 more in 5 s"), std::string::npos);
  figures = steady(0);
  figures.settings.min_instances = 0;
  figures.idle = seconds(301);
  figures.highest_want = 0;
  EXPECT_NE(explain(figures, decide(figures)).find("; no request in 301 s"), std::string::npos)
      << explain(figures, decide(figures));
}

}  // namespace
}  // namespace router::scaling::test

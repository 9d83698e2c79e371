#include "router/scaling/figures_text.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "tests/unit/scaling/cases.h"

namespace router::scaling::test {
namespace {

Figures random_figures(std::mt19937_64& random) {
  const auto real = [&random](double most) { return std::uniform_real_distribution<double>(0, most)(random); };
  const auto whole = [&random](int most) { return std::uniform_int_distribution<int>(0, most)(random); };
  Figures figures;
  figures.settings = {.min_instances = whole(3),
                      .max_instances = 3 + whole(20),
                      .target = real(1) + 0.01,
                      .polling_interval = Seconds(1 + whole(5)),
                      .slots = static_cast<double>(whole(16)),
                      .idle_time = Seconds(real(900))};
  figures.load = {.busy = real(40),
                  .waiting = real(1e-7),
                  .waking = real(3),
                  .arrivals = real(1e6),
                  .refusals = real(9),
                  .told = Seconds(real(60))};
  figures.averaged = Seconds(real(15));
  figures.held = Seconds(real(2));
  figures.pod_start = Seconds(real(100));
  figures.window = Seconds(real(600));
  figures.replicas = whole(20);
  figures.ready = whole(20);
  figures.replicas_before = whole(20);
  figures.highest_want = whole(20);
  figures.asked_for = Seconds(real(300));
  figures.leader_age = Seconds(real(1e5));
  figures.idle = Seconds(real(1e5));
  figures.requests_waking = whole(1) == 1;
  figures.signals_complete = whole(1) == 1;
  figures.rollout = whole(3) == 1;
  figures.foreign_lately = whole(7) == 1;
  figures.paused = whole(7) == 1;
  figures.contested = whole(7) == 1;
  figures.hindrance = static_cast<Hindrance>(whole(static_cast<int>(Hindrance::kTargetForbidden)));
  return figures;
}

TEST(ScalingFiguresText, FromALineTheDecisionIsComputedAgain) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 2000; ++round) {
    const Figures figures = random_figures(random);
    const std::optional<Figures> read = read_figures(figures_text(figures));
    ASSERT_TRUE(read) << figures_text(figures);
    EXPECT_EQ(*read, figures);
    EXPECT_EQ(decide(*read), decide(figures));
  }
}

TEST(ScalingFiguresText, SaysSecondsAndNamesWhatHinders) {
  Figures figures = steady(2.5);
  figures.hindrance = Hindrance::kConflictingAutoscaler;
  const std::string text = figures_text(figures);
  EXPECT_NE(text.find("\"busy\":2.5,"), std::string::npos) << text;
  EXPECT_NE(text.find("\"window\":300,"), std::string::npos) << text;
  EXPECT_NE(text.find("\"hindrance\":\"ConflictingAutoscaler\"}"), std::string::npos) << text;
}

TEST(ScalingFiguresText, WhatIsMissingOrUnknownIsNotRead) {
  const std::string text = figures_text(steady());
  EXPECT_TRUE(read_figures(text));
  EXPECT_FALSE(read_figures(""));
  EXPECT_FALSE(read_figures("[]"));
  EXPECT_FALSE(read_figures("{}"));
  std::string missing = text;
  missing.replace(missing.find("\"busy\""), 6, "\"bust\"");
  EXPECT_FALSE(read_figures(missing));
  std::string more = text;
  more.insert(1, "\"more\":1,");
  EXPECT_FALSE(read_figures(more));
  std::string other = text;
  other.replace(other.find("\"replicas\":3"), 12, "\"replicas\":3.5");
  EXPECT_FALSE(read_figures(other));
}

}  // namespace
}  // namespace router::scaling::test

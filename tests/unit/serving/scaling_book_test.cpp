#include "router/serving/scaling_book.h"

#include <gtest/gtest.h>

#include <string>

namespace router::serving {
namespace {

using scaling::Hindrance;
using scaling::Reason;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr TimePoint kStart{hours(1000)};
const DeploymentKey kKey = "team-a/house/blue";

/// A leader of a fleet of two, and one deployment with slots of which `busy` are busy at each of them.
class ScalingBookTest : public testing::Test {
 protected:
  ScalingBookTest() {
    book_.set({scaled_});
    book_.set_members({"a", "b"});
    book_.begin(now_);
  }

  void hear(const std::string& member, double busy) {
    scaling::Signal& signal = signals_[member];
    signal.uptime += seconds(1);
    signal.since_start.busy += busy;
    EXPECT_TRUE(book_.hear(member, kKey, signal, now_));
  }
  ScalingNews second(double busy) {
    now_ += seconds(1);
    hear("a", busy);
    hear("b", busy);
    const ScalingNews news = book_.decide(kKey, seen_, now_);
    if (last().decision.write) seen_.replicas = seen_.ready = last().decision.replicas;
    return news;
  }
  const ScalingDecision& last() const { return book_.find(kKey)->decisions.back(); }

  TimePoint now_ = kStart;
  BookedDeployment scaled_{.key = kKey, .settings = {.min_instances = 0, .max_instances = 9, .target = 1}, .acts = true};
  ScalingBook book_;
  TargetSeen seen_{.replicas = 1, .ready = 1};
  std::map<std::string, scaling::Signal> signals_;
};

TEST_F(ScalingBookTest, SumsTheMembersAndWritesForThem) {
  for (int done = 0; done < 20; ++done) second(2);
  EXPECT_EQ(seen_.replicas, 4);
}

TEST_F(ScalingBookTest, ObservingDecidesTheSameAndWritesNothing) {
  scaled_.acts = false;
  book_.set({scaled_});
  for (int done = 0; done < 20; ++done) second(2);
  EXPECT_EQ(seen_.replicas, 1);
  EXPECT_EQ(last().decision, (scaling::Decision{.replicas = 4, .reason = Reason::kScaledUp, .write = false}));
}

TEST_F(ScalingBookTest, WhatTheResourceForbidsComesBeforeWhatTheTargetDoes) {
  scaled_.hindrance = Hindrance::kFleetRequired;
  book_.set({scaled_});
  seen_.hindrance = Hindrance::kTargetNotMarked;
  second(2);
  EXPECT_EQ(last().decision.reason, Reason::kFleetRequired);
  scaled_.hindrance = Hindrance::kNone;
  book_.set({scaled_});
  seen_.obstacle = "HorizontalPodAutoscaler team-a/x";
  seen_.hindrance = Hindrance::kConflictingAutoscaler;
  EXPECT_EQ(second(2), ScalingNews::kNone) << "another reason of the same kind may wait";
  EXPECT_EQ(last().decision.reason, Reason::kConflictingAutoscaler);
  EXPECT_EQ(last().message.rfind("HorizontalPodAutoscaler team-a/x; 1: busy ", 0), 0u) << last().message;
}

TEST_F(ScalingBookTest, AChangeBySomebodyElseIsSeenOnceAndNamed) {
  for (int done = 0; done < 20; ++done) second(1);
  seen_.replicas = seen_.ready = 7;
  seen_.foreign_changes = 1;
  seen_.foreign = "kubectl (Update) set 7";
  second(1);
  EXPECT_EQ(last().decision.reason, Reason::kFrozenForeignChange);
  EXPECT_EQ(last().message.rfind("kubectl (Update) set 7; ", 0), 0u) << last().message;
  for (int done = 0; done < 500; ++done) second(1);
  EXPECT_EQ(seen_.replicas, 2) << "after the window it goes on";
}

TEST_F(ScalingBookTest, ANewLeaderTakesWhatItFindsForNoChange) {
  seen_.foreign_changes = 4;
  second(1);
  EXPECT_NE(last().decision.reason, Reason::kFrozenForeignChange);
  seen_.foreign_changes = 5;
  second(1);
  EXPECT_EQ(last().decision.reason, Reason::kFrozenForeignChange);
  book_.begin(now_);
  second(1);
  EXPECT_NE(last().decision.reason, Reason::kFrozenForeignChange);
}

// A rolling update of the routers must not undo what somebody has done by hand.
TEST_F(ScalingBookTest, ZeroThatSomebodyElseHasSetSurvivesAChangeOfTheLeader) {
  seen_.replicas = seen_.ready = 0;
  book_.begin(now_, {kKey});
  for (int done = 0; done < 100; ++done) second(2);
  EXPECT_EQ(last().decision.reason, Reason::kPaused);
  EXPECT_EQ(seen_.replicas, 0);
  seen_.replicas = 1;
  for (int done = 0; done < 20; ++done) second(2);
  EXPECT_EQ(seen_.replicas, 4);
}

TEST_F(ScalingBookTest, ARouterThatDoesNotTellWhatItCountsIsNamed) {
  for (int done = 0; done < 400; ++done) second(1);
  seen_.replicas = seen_.ready = 5;
  for (int done = 0; done < 10; ++done) {
    now_ += seconds(1);
    hear("a", 0.1);
    book_.decide(kKey, seen_, now_);
  }
  EXPECT_EQ(last().decision.reason, Reason::kFrozenSignalsIncomplete);
  EXPECT_EQ(last().message.rfind("no figures of b; 5: busy ", 0), 0u) << last().message;
}

// Each look at the target may cause a decision: the one of the next tick was left out, and a change waited 2 s.
TEST_F(ScalingBookTest, ADecisionInBetweenDelaysNone) {
  second(1);
  EXPECT_FALSE(book_.is_due(kKey, now_));
  book_.decide(kKey, seen_, now_ + std::chrono::milliseconds(600));
  EXPECT_TRUE(book_.is_due(kKey, now_ + seconds(1)));
}

TEST_F(ScalingBookTest, TheFiguresHaveRoomBesideALongReason) {
  seen_.hindrance = Hindrance::kConflictingAutoscaler;
  seen_.obstacle = std::string(256, 'x');
  second(2);
  EXPECT_NE(last().message.find("; target 100 %"), std::string::npos) << last().message;
}

TEST_F(ScalingBookTest, AWakeIsNewsOnceAndAsksForAReplica) {
  for (int done = 0; done < 1000; ++done) second(0);
  EXPECT_EQ(seen_.replicas, 0);
  EXPECT_TRUE(book_.wake(kKey, now_));
  EXPECT_FALSE(book_.wake(kKey, now_));
  EXPECT_FALSE(book_.wake("team-a/house/green", now_));
  second(0);
  EXPECT_EQ(seen_.replicas, 1);
  EXPECT_EQ(last().decision.reason, Reason::kWaking);
}

TEST_F(ScalingBookTest, KeepsTheLastTwentyDecisionsThatDiffer) {
  for (int done = 0; done < 300; ++done) second(done % 40 < 20 ? 0.5 : 4);
  EXPECT_LE(book_.find(kKey)->decisions.size(), ScalingBook::kKept);
  EXPECT_GT(book_.find(kKey)->decisions.size(), 2u);
  for (std::size_t each = 1; each < book_.find(kKey)->decisions.size(); ++each) {
    const auto& kept = book_.find(kKey)->decisions;
    EXPECT_TRUE(kept[each - 1].decision != kept[each].decision ||
                kept[each - 1].figures.replicas != kept[each].figures.replicas);
  }
}

TEST_F(ScalingBookTest, NumbersAloneAreNewsEveryFiveMinutes) {
  for (int done = 0; done < 400; ++done) second(1);
  int told = 0;
  for (int done = 0; done < 900; ++done) told += second(1) == ScalingNews::kNone ? 0 : 1;
  EXPECT_EQ(told, 3);
}

TEST_F(ScalingBookTest, ReasonsThatAlternateAreToldEveryTenSeconds) {
  scaled_.acts = false;
  book_.set({scaled_});
  for (int done = 0; done < 400; ++done) second(1);
  int told = 0;
  for (int done = 0; done < 100; ++done) {
    seen_.rollout = done % 2 == 1;
    seen_.replicas = seen_.ready = 5;  // more than is wanted: kept by the window, or frozen by the rollout
    told += second(1) == ScalingNews::kNone ? 0 : 1;
  }
  EXPECT_LE(told, 10);
  EXPECT_GE(told, 5);
}

TEST_F(ScalingBookTest, WhatWasMeasuredStaysWhenTheResourceChanges) {
  for (int done = 0; done < 20; ++done) second(2);
  scaled_.settings.max_instances = 2;
  book_.set({scaled_});
  second(2);
  EXPECT_NEAR(last().figures.load.busy, 4, 0.1);
  book_.set({});
  EXPECT_EQ(book_.find(kKey), nullptr);
  EXPECT_TRUE(book_.empty());
}

TEST_F(ScalingBookTest, ADeploymentThatWasRemovedAndConfiguredAgainIsBelieved) {
  Counted counted;
  counted.made = 3;
  const auto hear_that = [&] {
    now_ += seconds(1);
    return book_.hear("a", kKey, signal_of(counted, 7, now_ - TimePoint{}), now_);
  };
  counted.queue.busy = 1000;
  EXPECT_TRUE(hear_that());
  counted.queue.busy = 1002;
  EXPECT_TRUE(hear_that());
  counted = {};  // between two signals
  counted.made = 5;
  EXPECT_TRUE(hear_that()) << "it counts from 0";
  counted.queue.busy = 4;
  EXPECT_TRUE(hear_that());
  EXPECT_NEAR(book_.glance(kKey).load.busy, 4, 0.01);
}

TEST_F(ScalingBookTest, ARefusalEndsWithTheWish) {
  const auto refused_second = [&] {
    second(2);
    seen_.replicas = seen_.ready = 1;  // nothing is stored
    return last().decision.write;
  };
  for (int done = 0; done < 10; ++done) refused_second();
  book_.note_refused(kKey, "1 -> 4: exceeded quota");
  ASSERT_TRUE(refused_second());
  EXPECT_EQ(book_.find(kKey)->refused, "1 -> 4: exceeded quota");
  EXPECT_EQ(book_.find(kKey)->refused_as, Reason::kTargetRefuses);
  book_.note_refused(kKey, "1 -> 4: may not", Reason::kTargetForbidden);
  ASSERT_TRUE(refused_second());
  EXPECT_EQ(book_.find(kKey)->refused_as, Reason::kTargetForbidden);
  seen_.replicas = seen_.ready = 4;
  second(2);
  ASSERT_FALSE(last().decision.write);
  EXPECT_EQ(book_.find(kKey)->refused, "") << "nothing is to be written any more";
  EXPECT_EQ(book_.find(kKey)->refused_as, Reason::kTargetRefuses);
}

TEST_F(ScalingBookTest, AMessageIsCutBetweenCharacters) {
  seen_.hindrance = Hindrance::kTargetNotMarked;
  for (const char* first : {"", "x"}) {
    seen_.obstacle = first;
    for (int letter = 0; letter < 100; ++letter) seen_.obstacle += "\xC3\xA9";
    second(0);
    const std::string why = last().message.substr(0, last().message.find(';'));
    EXPECT_EQ((why.size() - std::string(first).size()) % 2, 0u) << why;
    EXPECT_NE(last().message.find(" slots in "), std::string::npos) << last().message;
  }
}

TEST_F(ScalingBookTest, TheDemandIsKnownToAMemberThatDoesNotLead) {
  for (int done = 0; done < 20; ++done) {
    now_ += seconds(1);
    hear("a", 1.5);
    hear("b", 0.5);
  }
  EXPECT_NEAR(scaling::demand_of(book_.glance(kKey)).slots(), 2, 0.01);
}

}  // namespace
}  // namespace router::serving

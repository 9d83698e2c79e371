#include <functional>

#include "tests/unit/fleet/trouble.h"
#include "tests/unit/fleet/world.h"

namespace router::fleet::test {
namespace {

constexpr std::uint64_t kSeeds = 300;

/// What over-commits a pod in the world of this seed with these rules, or nothing.
std::string violation(const Rules& rules, std::uint64_t seed) {
  WorldOptions options{.seed = seed, .rules = rules};
  options.hosts = 3 + static_cast<int>(seed % 2);
  options.long_exchanges = seed % 3 == 0;
  World world(options);
  Trouble trouble(world);
  trouble.run(60 * kSecond);
  return world.violation();
}

/// The first seed from `first` on whose world over-commits a pod with these rules, or 0. `first` only saves time.
std::uint64_t search(const Rules& rules, std::uint64_t first) {
  for (std::uint64_t seed = first; seed < first + kSeeds; ++seed)
    if (!violation(rules, seed).empty()) return seed;
  return 0;
}

/// Random faults over-commit a pod if the rule is off; all rules on, that seed does not (nor any other: random_test.cpp).
class FleetRules : public testing::Test {
 protected:
  void expect_needed(bool Rules::*rule, std::uint64_t first = 1) {
    Rules rules;
    rules.*rule = false;
    const std::uint64_t found = search(rules, first);
    EXPECT_GT(found, 0U);
    EXPECT_EQ(violation(Rules(), found), "") << "seed " << found;
    RecordProperty("seed", static_cast<int>(found));
  }
};

TEST_F(FleetRules, Majority) { expect_needed(&Rules::majority); }
TEST_F(FleetRules, SentTime) { expect_needed(&Rules::sent_time, 40); }
TEST_F(FleetRules, EqualEpoch) { expect_needed(&Rules::equal_epoch, 22860); }
TEST_F(FleetRules, Confirmed) { expect_needed(&Rules::confirmed, 5880); }
TEST_F(FleetRules, Reports) { expect_needed(&Rules::reports); }
TEST_F(FleetRules, WaitUnproven) { expect_needed(&Rules::wait_unproven); }
TEST_F(FleetRules, WaitProven) { expect_needed(&Rules::wait_proven); }
TEST_F(FleetRules, CountBusy) { expect_needed(&Rules::count_busy); }
TEST_F(FleetRules, AppliedFirst) { expect_needed(&Rules::applied, 30); }
TEST_F(FleetRules, JoinWait) { expect_needed(&Rules::join_wait, 15); }
TEST_F(FleetRules, Cut) { expect_needed(&Rules::cut, 15); }

/// Runs `schedule` in fleets of `hosts` that are chosen by seeds. All rules on, none over-commits; one off, some do.
class FleetSchedules : public testing::Test {
 protected:
  using Schedule = std::function<void(World&, int home, int second, int third)>;

  void expect_needed(bool Rules::*rule, int hosts, const Schedule& schedule, Rules rules = {}) {
    EXPECT_EQ(violations(rules, hosts, schedule), 0);
    rules.*rule = false;
    EXPECT_GT(violations(rules, hosts, schedule), 0);
  }

  /// Until somebody has written a roster, or for so long.
  static void run_until_written(World& world, Time limit) {
    const std::size_t written = world.rosters.size();
    const Time end = world.now() + limit;
    while (world.now() < end && world.rosters.size() == written) world.run_for(kMs / 2);
  }

  WorldOptions options_ = {.long_exchanges = true};  // host 0, which begins alone, uses every slot until it is cut

 private:
  int violations(const Rules& rules, int hosts, const Schedule& schedule) const {
    int count = 0;
    for (std::uint64_t seed = 1; seed <= 12; ++seed) {
      WorldOptions options = options_;
      options.seed = seed;
      options.rules = rules;
      options.hosts = hosts;
      World world(options);
      world.spawn(0);
      world.run_for(25 * kSecond);
      for (int host = 1; host < hosts; ++host) world.spawn(host);
      world.run_for(25 * kSecond);
      int home = 0;
      while (home + 1 < hosts && world.running_of(*world.process(home)) == 0) ++home;
      schedule(world, home, (home + 1) % hosts, (home + 2) % hosts);
      world.run_for(30 * kSecond);
      if (!world.violation().empty()) ++count;
    }
    return count;
  }
};

TEST_F(FleetSchedules, ARemovalWithoutPromisesLeavesTheRemovedOneCovered) {
  expect_needed(&Rules::promises, 3, [](World& world, int home, int second, int third) {
    world.set_api(home, false);
    world.set_api(third, false);
    world.cut_both(second, home);
    world.cut_both(second, third);
    world.run_for(14 * kSecond);  // longer than W: what is left to wait for is the report of the third
    world.heal(second, third);
  });
}

TEST_F(FleetSchedules, AGetThatCountsFromItsAnswerCoversForTooLong) {
  expect_needed(&Rules::read_time, 3, [](World& world, int home, int, int) {
    world.late_answers = world.late_events = home;
    world.isolate(home);
    run_until_written(world, 10 * kSecond);
    world.run_for(1800 * kMs);
    world.set_api(home, false);  // it never learns of its removal
  });
}

TEST_F(FleetSchedules, ADeadMemberThatCoversGivesTwoPartsAMajority) {
  expect_needed(&Rules::dead_do_not_cover, 3, [](World& world, int home, int second, int third) {
    world.set_api(home, false);
    world.cut_both(home, second);
    world.crash(third, true);
  });
}

TEST_F(FleetSchedules, AnOlderLeaseThatIsBelievedTakesAwayMembers) {
  options_ = {.namespaces = 8};  // the others have homes, and slots in them
  expect_needed(&Rules::refuse_older, 3, [](World& world, int, int, int) {
    world.isolate(0);
    world.set_api(1, false);
    world.set_api(2, false);
    world.lease.version += 100;
    world.lease.roster = world.rosters.at(1);  // host 0 served alone
    world.lease_changed();
  });
}

// The first promise of the third waits in the network, while the second hears the home again and misses it again. Meanwhile the
// third acknowledges the home, as does the fourth.
TEST_F(FleetSchedules, APromiseOfAnEarlierRoundRemovesAMemberThatIsAcknowledged) {
  expect_needed(&Rules::rounds, 4, [](World& world, int home, int second, int third) {
    const int fourth = 6 - home - second - third;
    for (const int host : {home, third, fourth}) world.set_api(host, false);
    world.cut_both(second, home);
    world.run_for(300 * kMs);
    world.cut_both(third, home);
    world.run_for(1400 * kMs);
    world.cut(third, second);
    world.run_for(700 * kMs);
    world.heal(second, home);
    world.heal(third, home);
    world.run_for(700 * kMs);
    world.cut_both(second, home);
    world.run_for(2400 * kMs);
    world.heal(third, second);
    run_until_written(world, 300 * kMs);
    for (const int host : {third, fourth}) world.cut_both(second, host);
    world.run_for(4500 * kMs);  // the second waits for the end of the home, which the others cover
    for (const int host : {third, fourth}) world.heal(second, host);
    for (const int host : {third, fourth}) world.cut_both(home, host);
  });
}

// It joins again while its exchanges run, and is covered by the Lease. The others have not heard of it when their wait is over.
TEST_F(FleetSchedules, ARemovedProcessThatComesBackWithItsExchangesKeepsThem) {
  expect_needed(&Rules::reborn_empty, 3, [](World& world, int home, int second, int third) {
    world.isolate(home);
    run_until_written(world, 10 * kSecond);
    world.run_for(kSecond);
    world.heal();
    run_until_written(world, 4 * kSecond);
    world.isolate(home);
    world.set_api(second, false);
    world.set_api(third, false);
  });
}

// Alone, the home may not mend the Lease, and newcomers begin another one. When it meets them it has a majority: the later
// process in the second's Pod proves the end of the second.
TEST_F(FleetSchedules, AHomeThatWasUncoveredBesideALostLeaseMeetsTheFleetThatFollowed) {
  Rules rules;
  rules.remade_confirmed =
      false;  // otherwise it is not covered, either, before one of the fleet that followed has acknowledged it
  expect_needed(
      &Rules::stale_restarts, 3,
      [](World& world, int home, int second, int third) {
        world.isolate(home);
        world.crash(second, false);
        world.crash(third, false);
        world.run_for(3 * kSecond);
        world.lease.exists = false;
        world.lease_changed();
        world.spawn(second, true);
        world.run_for(20 * kSecond);
        world.heal();
      },
      rules);
}

// The home mends a Lease that was restored old, while a roster without the home has been written and lost with the old Lease.
TEST_F(FleetSchedules, AMendedLeaseCoversWhoHasBeenRemovedInTheLostOne) {
  expect_needed(&Rules::mended_confirmed, 3, [](World& world, int home, int second, int third) {
    world.late_events = home;
    world.cut_both(home, second);
    world.run_for(500 * kMs);
    world.cut_both(home, third);
    run_until_written(world, 5 * kSecond);
    world.run_for(40 * kMs);  // the writer has its answer
    world.set_api(second, false);
    world.set_api(third, false);
    world.late_events.reset();
    world.lease.version += 100;
    world.lease.roster = world.rosters.front();
    world.lease_changed();
  });
}

// The others have taken the home out, which does not know it. The Lease is made again from a backup that is just so old.
TEST_F(FleetSchedules, ALeaseMadeAgainFromABackupCoversWhoHasBeenRemovedSince) {
  expect_needed(&Rules::remade_confirmed, 3, [](World& world, int home, int second, int third) {
    world.isolate(home);
    world.set_api(home, false);
    run_until_written(world, 10 * kSecond);
    world.run_for(kSecond);
    world.set_api(second, false);
    world.set_api(third, false);
    world.lease.version += 100;
    ++world.lease.object;
    world.lease.roster = world.rosters.at(world.rosters.size() - 2);
    world.set_api(home, true);
    world.lease_changed();
  });
}

}  // namespace
}  // namespace router::fleet::test

#include "tests/unit/fleet/cases.h"

// The failure cases of the Lease: lost, old, contended, or without a member that serves.
namespace router::fleet::test {
namespace {

TEST_F(FleetCases, AllAreGoneWithoutProofUntilTheLeaseIsOldEnough) {
  World& world = fleet(2);
  for (int host = 0; host < 2; ++host) world.crash(host, false);
  world.at(kSecond, [&world] { world.spawn(0); });
  world.run_for(55 * kSecond);
  EXPECT_FALSE(world.all_served());
  expect_served_within(30 * kSecond);
}

TEST_F(FleetCases, AllLostMembersAreTakenOutTogether) {
  World& world = fleet(4);
  for (int host = 0; host < 4; ++host) world.crash(host, false);
  world.spawn(0);
  world.late_answers = 0;  // it sees by its watch what it has written
  world.run_for(65 * kSecond);
  EXPECT_EQ(members(), 1U) << world.state();  // the newcomer
  expect_served_within(30 * kSecond);
  EXPECT_EQ(members(), 1U);
}

TEST_F(FleetCases, LostAnswersDoNotKeepNewcomersOut) {
  World& world = fleet(2);
  for (int host = 0; host < 2; ++host) world.crash(host, false);
  world.spawn(0);
  for (int i = 0; i < 13; ++i) {
    world.run_for(4 * kSecond);
    world.set_api(0, false);
    world.run_for(kSecond);
    world.set_api(0, true);
  }
  expect_served_within(30 * kSecond);
}

TEST_F(FleetCases, AnOutageOfTheApiServerIsNoReasonToTakeOver) {
  World& world = fleet(3);
  for (int host = 0; host < 2; ++host) world.crash(host, false);
  world.isolate(2);
  world.spawn(0);
  world.run_for(5 * kSecond);
  world.set_api(false);
  world.run_for(100 * kSecond);
  world.set_api(0, true);  // only from now on the age of the Lease tells something
  world.run_for(55 * kSecond);
  EXPECT_EQ(members(), 3U) << world.state();
}

TEST_F(FleetCases, NewcomersMendALeaseThatIsRestoredOldWhenAllAreLost) {
  for (const bool deleted : {false, true}) {
    World& world = fleet(2);
    for (int host = 0; host < 2; ++host) world.crash(host, false);
    world.spawn(0);
    world.run_for(5 * kSecond);  // the newcomer knows the newest roster
    world.lease.version += 100;
    world.lease.exists = !deleted;
    world.lease.roster = world.rosters.front();
    world.lease_changed();
    world.run_for(50 * kSecond);
    EXPECT_FALSE(world.all_served());
    expect_served_within(35 * kSecond);
    ASSERT_EQ(world.violation(), "") << world.history();
  }
}

TEST_F(FleetCases, AnOperatorSparesNewcomersTheWaitForAnOldLease) {
  World& world = fleet(2);
  std::vector<std::string> lost;
  for (int host = 0; host < 2; ++host) lost.push_back(world.process(host)->identity.id);
  for (int host = 0; host < 2; ++host) world.crash(host, false);
  world.spawn(0);
  world.run_for(5 * kSecond);
  world.lease.version += 100;
  world.lease.roster = world.rosters.front();
  world.lease_changed();
  for (const std::string& id : lost) world.process(0)->handle(Forget{id});
  expect_served_within(20 * kSecond);
}

TEST_F(FleetCases, ManyWritersAtOnceAllGetTheirTurn) {
  WorldOptions options{.seed = 3, .hosts = 5};
  options.namespaces = 6;
  world_ = std::make_unique<World>(options);
  world_->slow_api = true;
  for (int host = 0; host < 5; ++host) world_->spawn(host);
  world_->run_for(60 * kSecond);
  EXPECT_GT(world_->conflicts, 0U);
  EXPECT_EQ(members(), 5U);
  EXPECT_TRUE(world_->all_served()) << world_->state();
}

TEST_F(FleetCases, ADeletedLeaseIsWrittenAgainWithoutAGap) {
  World& world = fleet(3);
  const std::uint64_t before = decode_roster(world.lease.roster)->epoch.number;
  world.lease.exists = false;
  world.lease_changed();
  for (int i = 0; i < 100; ++i) {
    world.run_for(100 * kMs);
    ASSERT_TRUE(world.all_served()) << world.history();
  }
  const absl::StatusOr<Roster> roster = decode_roster(world.lease.roster);
  EXPECT_EQ(roster->epoch.number, before + 1);
  EXPECT_EQ(roster->mended, before + 1);
}

TEST_F(FleetCases, ALeaseThatIsRestoredOldIsMendedByAMajority) {
  World& world = fleet(3);
  const std::uint64_t before = decode_roster(world.lease.roster)->epoch.number;
  world.lease.version += 100;
  world.lease.roster = world.rosters.at(2);
  world.lease_changed();
  world.run_for(10 * kSecond);
  EXPECT_EQ(decode_roster(world.lease.roster)->epoch.number, before + 1);
  EXPECT_TRUE(world.all_served()) << world.state();
}

TEST_F(FleetCases, ALeaseThatIsRestoredOldIsRefusedByAMinority) {
  World& world = fleet(3);
  world.isolate(2);
  world.set_api(0, false);
  world.set_api(1, false);
  world.run_for(3 * kSecond);  // until then it has a majority's word
  world.lease.version += 100;
  world.lease.roster = world.rosters.at(2);
  world.lease_changed();
  world.run_for(10 * kSecond);
  EXPECT_FALSE(covered(2));
  EXPECT_NE(report(2).reason.find("older than its roster"), std::string::npos)
      << report(2).reason << world.history() << world.state();
}

}  // namespace
}  // namespace router::fleet::test

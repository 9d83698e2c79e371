#include "router/fleet/home.h"
#include "tests/unit/fleet/cases.h"

// One schedule for each failure case of the design that a simulator can have. In each of them no pod has more exchanges than
// slots: the world checks it at every exchange that begins. Those of the Lease are in lease_cases_test.cpp.
namespace router::fleet::test {
namespace {

TEST_F(FleetCases, AKilledMemberIsReplacedAtOnceByProof) {
  World& world = fleet(3);
  world.crash(home(), true);
  expect_served_within(600 * kMs);
  EXPECT_EQ(members(), 2U);
}

TEST_F(FleetCases, ANodeThatIsLostIsReplacedAfterTheWait) {
  World& world = fleet(3);
  world.crash(home(), false);
  world.run_for(2 * kSecond);
  EXPECT_FALSE(world.all_served());
  world.run_for(3 * kSecond);
  EXPECT_EQ(members(), 2U);
  expect_served_within(9 * kSecond);
}

TEST_F(FleetCases, AProcessThatRestartsInTheSamePodProvesTheEndOfTheOneBefore) {
  World& world = fleet(3);
  world.crash(1, false);
  world.at(800 * kMs, [&world] { world.spawn(1, true); });
  expect_served_within(3 * kSecond);
  const absl::StatusOr<Roster> roster = decode_roster(world.lease.roster);
  EXPECT_EQ(roster->unproven, 0U);
}

TEST_F(FleetCases, AllAreKilledAndComeBackInTheirPods) {
  World& world = fleet(3);
  for (int host = 0; host < 3; ++host) world.crash(host, true);
  for (int host = 0; host < 3; ++host) world.at(500 * kMs, [&world, host] { world.spawn(host, true); });
  expect_served_within(20 * kSecond);
}

TEST_F(FleetCases, ThePartitionOfOneLosesItsNamespacesAndNothingElse) {
  World& world = fleet(3);
  world.isolate(2);
  world.set_api(2, false);
  world.run_for(3500 * kMs);
  EXPECT_FALSE(report(2).ready);
  EXPECT_FALSE(covered(2));
  EXPECT_TRUE(covered(0));
  EXPECT_TRUE(covered(1));
  expect_served_within(9 * kSecond);
  EXPECT_EQ(members(), 2U);
  world.heal();
  world.set_api(true);
  expect_served_within(15 * kSecond);
  EXPECT_EQ(members(), 3U);
}

TEST_F(FleetCases, ThreeThatSeeOnlyTheApiServerGoOnAlone) {
  World& world = fleet(3);
  for (int host = 0; host < 3; ++host) world.isolate(host);
  world.run_for(20 * kSecond);
  for (int host = 0; host < 3; ++host) EXPECT_TRUE(covered(host)) << world.state();
  EXPECT_EQ(members(), 3U);
  world.heal();
  expect_served_within(5 * kSecond);
}

TEST_F(FleetCases, ACutInOneDirectionIsSilenceForBoth) {
  World& world = fleet(3);
  world.cut(2, 0);
  world.cut(2, 1);
  world.run_for(5 * kSecond);
  EXPECT_EQ(members(), 2U);
  expect_served_within(9 * kSecond);
}

TEST_F(FleetCases, NothingNoticesThatTheApiServerIsAway) {
  World& world = fleet(3);
  world.set_api(false);
  for (int second = 0; second < 60; ++second) {
    world.run_for(kSecond);
    ASSERT_TRUE(world.all_served()) << world.state();
  }
  world.crash(0, true);
  expect_served_within(600 * kMs);
}

TEST_F(FleetCases, OneAloneGoesOnWithoutTheApiServer) {
  World& world = fleet(1);
  world.set_api(false);
  world.run_for(120 * kSecond);
  EXPECT_TRUE(world.all_served());
}

TEST_F(FleetCases, TwoRemoversAtOnceWriteOneAfterTheOther) {
  World& world = fleet(5);
  world.slow_api = true;
  world.crash(3, false);
  world.crash(4, false);
  world.run_for(30 * kSecond);
  EXPECT_EQ(members(), 3U) << world.state();
  expect_served_within(20 * kSecond);
}

TEST_F(FleetCases, TheRemoverIsRemoved) {
  World& world = fleet(5);
  world.crash(4, false);
  world.run_for(2050 * kMs);
  world.crash(0, false);
  expect_served_within(25 * kSecond);
  EXPECT_EQ(members(), 3U);
}

TEST_F(FleetCases, AJoinerThatDiesIsTakenOut) {
  World& world = fleet(2, {.hosts = 3});
  world.crash(1, false);
  world.run_for(kSecond);
  world.spawn(1);
  world.run_for(1500 * kMs);
  world.crash(1, false);
  expect_served_within(40 * kSecond);
}

TEST_F(FleetCases, ALeaverThatDiesIsTakenOut) {
  World& world = fleet(3, {.long_exchanges = true});
  const int leaver = home();
  world.drain(leaver);
  world.run_for(2 * kSecond);
  ASSERT_TRUE(world.process(leaver)->alive);
  EXPECT_EQ(report(leaver).state, "leaving");
  world.crash(leaver, false);
  world.run_for(4 * kSecond);
  EXPECT_EQ(members(), 2U);
  expect_served_within(15 * kSecond);
}

TEST_F(FleetCases, ADrainMovesHomesAtOnceAndLeavesTheLease) {
  World& world = fleet(3);
  const int leaver = home();
  world.drain(leaver);
  world.run_for(400 * kMs);
  EXPECT_TRUE(world.all_served()) << world.state();
  world.run_for(20 * kSecond);
  EXPECT_FALSE(world.process(leaver)->alive);
  EXPECT_EQ(members(), 2U);
}

TEST_F(FleetCases, ADrainMovesHomesWithoutTheApiServerToo) {
  World& world = fleet(3);
  world.set_api(false);
  const int leaver = home();
  world.drain(leaver);
  world.run_for(400 * kMs);
  EXPECT_TRUE(world.all_served()) << world.state();
  world.run_for(25 * kSecond);
  EXPECT_FALSE(world.process(leaver)->alive);
  EXPECT_TRUE(world.all_served()) << world.state();
}

TEST_F(FleetCases, OneAloneServesWhileItDrainsAndEnds) {
  World& world = fleet(1);
  world.drain(0);
  const std::uint64_t begun = world.process(0)->begun;
  for (Time passed = 0; passed < kDrainDelay - 200 * kMs; passed += 100 * kMs) {
    world.run_for(100 * kMs);
    ASSERT_TRUE(world.all_served()) << world.state();
  }
  EXPECT_GT(world.process(0)->begun, begun);
  world.run_for(20 * kSecond);
  EXPECT_FALSE(world.process(0)->alive) << world.state();
}

TEST_F(FleetCases, WhenAllDrainTheyServeWhatArrivesAndEnd) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    WorldOptions options{.seed = seed};
    options.fixed = seed % 2 == 0;
    World& world = fleet(3, options);
    for (int host = 0; host < 3; ++host) world.at(world.between(0, 300 * kMs), [&world, host] { world.drain(host); });
    world.run_for(400 * kMs);
    EXPECT_TRUE(world.wait_served(2 * kSecond)) << world.history() << world.state();
    world.run_for(40 * kSecond);
    ASSERT_EQ(world.violation(), "") << world.history();
    EXPECT_TRUE(world.alive().empty()) << world.history() << world.state();
  }
}

TEST_F(FleetCases, TheLastThatDrainsGivesWayToANewcomer) {
  for (const bool fixed : {false, true}) {
    World& world = fleet(2, {.fixed = fixed, .long_exchanges = true});
    world.crash(1, true);
    expect_served_within(2 * kSecond);
    world.drain(0);
    world.run_for(kSecond);
    EXPECT_TRUE(world.all_served()) << world.state();
    world.spawn(1, true);
    world.run_for(25 * kSecond);
    ASSERT_EQ(world.violation(), "") << world.history();
    EXPECT_EQ(report(0).homes, 0U) << world.state();
    EXPECT_EQ(report(1).homes, 6U) << world.state();
  }
}

/// Requests of their clients waited at it. They had said their bye, or had left the list of those that serve.
TEST_F(FleetCases, TheLastThatServesIsKilledWhileTheOthersDrain) {
  for (const bool fixed : {false, true}) {
    for (const int hosts : {2, 3}) {
      World& world = fleet(hosts, {.fixed = fixed});
      const int last = home();
      for (int host = 0; host < hosts; ++host)
        if (host != last) world.drain(host);
      world.run_for(kSecond);
      world.crash(last, true);
      EXPECT_TRUE(world.wait_served(2 * kSecond)) << fixed << hosts << world.history() << world.state();
      world.run_for(kDrainDelay + 15 * kSecond);
      for (int host = 0; host < hosts; ++host) EXPECT_FALSE(world.process(host)->alive) << host << world.state();
      ASSERT_EQ(world.violation(), "") << world.history();
    }
  }
}

TEST_F(FleetCases, AForgottenProcessThatDrainsCutsWhatRunsAndLeaves) {
  for (const bool fixed : {false, true}) {
    World& world = fleet(3, {.fixed = fixed, .long_exchanges = true});
    const int leaver = home();
    world.drain(leaver);
    world.run_for(kSecond);
    ASSERT_GT(world.running_of(*world.process(leaver)), 0U);
    world.process((leaver + 1) % 3)->handle(Forget{world.process(leaver)->identity.id});
    world.run_for(240 * kMs + kSecond);
    EXPECT_EQ(world.running_of(*world.process(leaver)), 0U) << world.state();
    world.run_for(kDrainDelay);
    EXPECT_FALSE(world.process(leaver)->alive) << world.state();
    expect_served_within(15 * kSecond);
    ASSERT_EQ(world.violation(), "") << world.history();
  }
}

/// Nothing runs at the home, so its bye comes while the next one takes over. That adds no wait: the takeover takes some frames
/// of up to 30 ms each. (With fixed peers a process of this World ends with its bye still on the way.)
TEST_F(FleetCases, AHomeThatHandsOverInOrderIsReplacedAtOnce) {
  const auto idle = [](Process& process, const Assignment& assignment) {
    process.handle(Applied{.version = assignment.version, .holdings = {}});
  };
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    World& world = fleet(3, {.seed = seed, .obey = idle});
    world.drain(home());
    world.run_for(200 * kMs);
    EXPECT_TRUE(world.all_served()) << seed << "\n" << world.history() << world.state();
    world.run_for(3 * kSecond);
    ASSERT_EQ(world.violation(), "") << world.history();
  }
}

TEST_F(FleetCases, ANewcomerThatComesAfterTheByeHearsIt) {
  World& world = fleet(2);
  world.crash(1, true);
  world.run_for(5 * kSecond);
  ASSERT_EQ(members(), 1U);
  world.set_api(0, false);
  world.drain(0);
  world.run_for(kDrainDelay);
  while (world.running_of(*world.process(0)) > 0) world.run_for(100 * kMs);
  world.run_for(kSecond);
  ASSERT_TRUE(world.process(0)->alive);
  world.spawn(1);
  expect_served_within(15 * kSecond);
}

TEST_F(FleetCases, AFrozenProcessLosesNothingWithin2900Milliseconds) {
  std::size_t total = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {  // in some worlds it is taken out meanwhile
    WorldOptions options{.seed = seed};
    options.long_exchanges = true;
    World& world = fleet(3, options);
    const int which = home();
    const Process* const frozen = world.process(which);
    const std::size_t running = world.running_of(*frozen);
    total += running;
    world.freeze(which, 2900 * kMs);
    world.run_for(2900 * kMs + 3 * kSecond);
    ASSERT_EQ(world.running_of(*frozen), running) << world.history();  // what ran was not cut
    ASSERT_EQ(world.violation(), "");
  }
  EXPECT_GT(total, 0U);
}

TEST_F(FleetCases, AProcessThatWasFrozenForLongBeginsNothingAfterwards) {
  World& world = fleet(3, {.long_exchanges = true});
  const int which = home();
  Process* const frozen = world.process(which);
  world.freeze(which, 10 * kSecond);
  world.run_for(10 * kSecond - kMs);
  const std::uint64_t begun = frozen->begun;
  world.run_for(3 * kSecond);
  EXPECT_EQ(frozen->begun, begun);
  EXPECT_EQ(world.running_of(*frozen), 0U);
  expect_served_within(30 * kSecond);
}

TEST_F(FleetCases, PausesOf200MillisecondsMoveNothing) {
  World& world = fleet(3);
  const std::size_t rosters = world.rosters.size();
  for (int i = 0; i < 40; ++i) {
    world.freeze(world.pick(3), 200 * kMs);
    world.run_for(500 * kMs);
    ASSERT_TRUE(world.violation().empty());
  }
  EXPECT_EQ(world.rosters.size(), rosters);
}

TEST_F(FleetCases, SlotsMayChangeWhileExchangesRun) {
  World& world = fleet(3);
  for (const std::uint32_t slots : {1U, 4U, 1U}) {
    world.change_services([&world, slots] {
      for (Pod& pod : world.pods) pod.slots = slots;
    });
    world.run_for(15 * kSecond);
    ASSERT_EQ(world.violation(), "");
  }
}

TEST_F(FleetCases, TheFleetGrowsAndShrinks) {
  WorldOptions options{.hosts = 5};
  options.namespaces = 6;
  world_ = std::make_unique<World>(options);
  world_->spawn(0);
  world_->run_for(25 * kSecond);
  for (const int count : {3, 5, 1}) {
    for (int host = 0; host < 5; ++host) host < count ? void(world_->spawn(host)) : world_->drain(host);
    for (int i = 0; i < 250; ++i) {
      world_->run_for(100 * kMs);
      ASSERT_TRUE(world_->violation().empty());
    }
    EXPECT_TRUE(world_->all_served()) << world_->state();
    EXPECT_EQ(members(), static_cast<std::size_t>(count)) << world_->state();
  }
}

TEST_F(FleetCases, AProtocolWithoutOverlapKeepsANewcomerOut) {
  World& world = fleet(2, {.seed = 5});
  world.drain(1);
  world.run_for(20 * kSecond);
  world.spawn(1, false, {.min = 2, .max = 3});
  world.run_for(20 * kSecond);
  EXPECT_FALSE(report(1).ready);
  EXPECT_NE(report(1).reason.find("speaks versions 2 to 3"), std::string::npos) << report(1).reason;
  EXPECT_EQ(members(), 1U);
  EXPECT_TRUE(world.all_served());
}

TEST_F(FleetCases, A65thMemberIsNotReadyAndSaysWhy) {
  Roster roster{.epoch = {.number = 9, .writer = "a"}, .unproven = 0, .mended = 0, .members = {}};
  for (std::size_t i = 0; i < kMembersMax; ++i)
    roster.members.push_back({.id = "r" + std::to_string(i), .pod_uid = "", .address = "h", .started = 1, .protocols = {}});
  const BootTime now{std::chrono::hours(1)};
  Machine machine({.id = "x", .pod_uid = "p", .address = "x:1", .started = 1}, {}, now);
  machine.handle(now, LeaseSeen{.sent = now, .version = "1", .object = "1", .roster = encode(roster)});
  for (const Action& action : machine.take_actions()) EXPECT_EQ(std::get_if<LeasePut>(&action), nullptr);
  EXPECT_FALSE(machine.report(now).ready);
  EXPECT_EQ(machine.report(now).reason.substr(0, 30), "the fleet has 64 members alrea");
}

TEST_F(FleetCases, FixedPeersMoveAHomeByProofOnly) {
  World& world = fleet(3, {.fixed = true});
  world.crash(1, true);
  expect_served_within(600 * kMs);
  world.spawn(1, true);
  expect_served_within(3 * kSecond);
  world.crash(1, false);
  world.run_for(60 * kSecond);
  EXPECT_FALSE(world.all_served()) << world.state();
  world.process(0)->handle(Forget{"host1"});
  expect_served_within(kSecond);
}

TEST_F(FleetCases, FixedPeersThatSeeNobodyGoOnWithTheirOwn) {
  World& world = fleet(3, {.fixed = true});
  for (int host = 0; host < 3; ++host) world.isolate(host);
  world.run_for(60 * kSecond);
  EXPECT_TRUE(world.all_served());
}

TEST_F(FleetCases, AnOperatorTakesOutWhatNoMajorityCan) {
  World& world = fleet(3);
  const std::string lost = world.process(1)->identity.id;
  world.crash(1, false);
  world.crash(2, false);
  world.run_for(20 * kSecond);
  EXPECT_EQ(members(), 3U);
  world.process(0)->handle(Forget{lost});
  world.process(0)->handle(Forget{world.process(2)->identity.id});
  expect_served_within(15 * kSecond);
  EXPECT_EQ(members(), 1U);
}

TEST(FleetHome, MembersShareNamespacesEvenlyAndANewcomerMovesOnlyItsOwn) {
  const auto home = [](int members, const std::string& name) {
    int best = 0;
    for (int i = 1; i < members; ++i)
      if (home_weight("r" + std::to_string(i), name) > home_weight("r" + std::to_string(best), name)) best = i;
    return best;
  };
  std::map<int, int> count;
  for (int i = 0; i < 3000; ++i) {
    const std::string name = "team-" + std::to_string(i);
    const int before = home(4, name);
    const int after = home(5, name);
    EXPECT_TRUE(after == before || after == 4);
    ++count[after];
  }
  for (int member = 0; member < 5; ++member) EXPECT_NEAR(count[member], 600, 90);
}

}  // namespace
}  // namespace router::fleet::test

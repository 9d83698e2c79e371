#include <functional>

#include "tests/unit/fleet/world.h"

// Fixed peers whose lists differ: what keeps two of them, which do not know of each other, from being home at once. Each rule
// has a schedule that over-commits a pod without it. With all rules on it does not, and the fleet is served once the lists are
// the same again.
namespace router::fleet::test {
namespace {

/// A fleet of hosts 0 to 2 with one list. A fourth host has not started.
class FleetLists : public testing::Test {
 protected:
  using Schedule = std::function<void()>;

  void expect_needed(bool Rules::*rule, const Schedule& schedule) {
    EXPECT_EQ(violations({}, schedule), 0);
    Rules rules;
    rules.*rule = false;
    EXPECT_GT(violations(rules, schedule), 0);
  }

  void read(int host, const std::vector<int>& list) { world->process(host)->handle(PeersChanged{World::addresses(list)}); }
  void start(int host, const std::vector<int>& list) {
    world->lists[host] = World::addresses(list);
    world->spawn(host, true);
  }
  std::string state(int host) const { return report(host).state; }
  Report report(int host) const { return world->process(host)->machine.report(world->process(host)->clock()); }
  bool serves(int host) const { return state(host) == "serving"; }
  void run(Time time) { world->run_for(time); }
  /// Until what has begun has ended, too.
  void settle() { run(15 * kSecond); }
  void begin(std::uint64_t seed, const Rules& rules, const std::vector<int>& list) {
    world = std::make_unique<World>(WorldOptions{.seed = seed, .rules = rules, .hosts = 4, .fixed = true, .namespaces = 6});
    for (const int host : list) start(host, list);
    ASSERT_TRUE(world->wait_served(10 * kSecond)) << world->state();
    run(3 * kSecond);
  }

  std::unique_ptr<World> world;
  std::vector<int> first_list = {0, 1, 2};

  int violations(const Rules& rules, const Schedule& schedule) {
    int count = 0;
    for (std::uint64_t seed = 1; seed <= 6; ++seed) {
      begin(seed, rules, first_list);
      schedule();
      settle();
      if (world->violation().empty()) end_with_one_list();
      if (!world->violation().empty()) ++count;
    }
    return count;
  }

 private:
  void end_with_one_list() {
    const std::vector<int> all = {0, 1, 2, 3};
    for (const int host : all) {
      if (world->process(host) != nullptr && world->process(host)->alive) continue;
      start(host, all);
    }
    for (const int host : all) read(host, all);
    EXPECT_TRUE(world->wait_served(20 * kSecond)) << world->history() << world->state();
    run(2 * kSecond);
    for (const int host : all) EXPECT_TRUE(serves(host)) << world->state();
  }
};

// The new list has another router in the place of one. The new router knows nothing of that one.
TEST_F(FleetLists, ARouterThatReplacesAnotherWaitsForWhatRunsThere) {
  first_list = {0, 1};
  expect_needed(&Rules::same_list, [this] {
    start(2, {0, 2});
    run(500 * kMs);
    EXPECT_FALSE(serves(2));
    EXPECT_NE(report(2).reason.find("not in the list fleet.peers of host0"), std::string::npos) << report(2).reason;
    read(0, {0, 2});
    settle();
    if (!world->violation().empty()) return;
    EXPECT_TRUE(serves(2)) << world->state();
    EXPECT_EQ(report(0).members.size(), 2U);
  });
}

// Host 0 knows 1 and 2, host 3 knows 2 only. Host 2 takes out host 0, which does not hear of it, and dies.
TEST_F(FleetLists, ADeadPeerThatHadAnotherListLetsNobodyServe) {
  first_list = {0, 2};
  expect_needed(&Rules::same_list_of_dead, [this] {
    start(3, {2, 3});
    run(500 * kMs);
    world->cut(2, 0);
    read(2, {2, 3});
    run(300 * kMs);
    world->crash(2, true);
    world->heal();
  });
}

// Host 2 drops host 1, which did not serve when it heard last of it, and which begins to serve by the older word of host 2.
TEST_F(FleetLists, AMemberThatWasTakenOutIsNotDroppedBeforeItHasHeardOfIt) {
  expect_needed(&Rules::answered, [this] {
    world->crash(1, true);
    world->cut_both(1, 0);
    run(200 * kMs);
    start(1, {0, 1, 2});
    run(kSecond);
    world->cut(2, 1);
    read(2, {0, 2});
    run(100 * kMs);
    world->heal(1, 0);
    run(500 * kMs);
    read(1, {0, 1});
    read(0, {0, 1});
    world->heal();
    settle();
    world->drain(0);
    settle();
    start(3, {2, 3});
    read(2, {2, 3});
  });
}

// Hosts 1 and 2 restart one after the other, so that none of the three serves when they take each other out.
TEST_F(FleetLists, OfTwoThatTakeEachOtherOutWhileNoneServesNotBothServeLater) {
  expect_needed(&Rules::bound, [this] {
    for (const int host : {1, 2}) read(host, {1, 2});
    settle();
    EXPECT_FALSE(serves(0));
    read(0, {0});
    run(kSecond);
    for (const int host : {1, 2}) {
      world->crash(host, true);
      run(300 * kMs);
      start(host, {0, 1, 2});
      run(kSecond);
      read(host, {1, 2});
      run(2 * kSecond);
    }
  });
}

// As found by chance: hosts 0 and 1 have taken each other out, and host 2 restarts with both in its list. Either rule prevents
// that both serve.
TEST_F(FleetLists, ACommonPeerThatRestartsLetsNotBothServe) {
  const auto schedule = [this] {
    for (const int host : {0, 2}) read(host, {0, 2});
    settle();
    for (const int host : {1, 2}) read(host, {1, 2});
    settle();
    world->crash(2, true);
    run(300 * kMs);
    start(2, {0, 1, 2});
  };
  EXPECT_EQ(violations({}, schedule), 0);
  Rules rules;
  rules.same_list = rules.bound = false;
  EXPECT_GT(violations(rules, schedule), 0);
}

}  // namespace
}  // namespace router::fleet::test

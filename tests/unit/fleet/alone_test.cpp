#include <gtest/gtest.h>

#include "tests/unit/fleet/world.h"

// What a fleet costs that has one member.
namespace router::fleet::test {
namespace {

struct Effort {
  std::uint64_t frames = 0;
  std::size_t rosters = 0;
  std::uint64_t writes = 0;  // of the Lease
};

/// Of 100 s in which nothing happens to the fleet.
Effort effort_of(int hosts) {
  World world({.seed = 5, .hosts = hosts});
  for (int host = 0; host < hosts; ++host) world.spawn(host);
  EXPECT_TRUE(world.wait_served(60 * kSecond)) << world.history();
  world.run_for(15 * kSecond);  // every process has joined
  const Effort before{world.frames, world.rosters.size(), world.lease.version};
  world.run_for(100 * kSecond);
  EXPECT_EQ(world.violation(), "");
  return {world.frames - before.frames, world.rosters.size() - before.rosters, world.lease.version - before.writes};
}

TEST(FleetOfOne, SendsNothingAndWritesItsStampOnly) {
  const Effort found = effort_of(1);
  EXPECT_EQ(found.frames, 0u);
  EXPECT_EQ(found.rosters, 0u);
  EXPECT_GE(found.writes, 9u) << "a stamp every 10 s";
  EXPECT_LE(found.writes, 11u);
}

TEST(FleetOfOne, IsNotAFleetOfTwo) { EXPECT_GT(effort_of(2).frames, 200u) << "the test would not see frames"; }

}  // namespace
}  // namespace router::fleet::test

#include "tests/unit/fleet/world.h"

// As many members as a fleet may have, which all start at once. With fixed peers only: with a Lease they need minutes of CPU
// time.
namespace router::fleet::test {
namespace {

constexpr int kMembers = static_cast<int>(kMembersMax);

/// How long it takes until all serve; `limit` if they do not.
Time until_all_serve(World& world, Time limit) {
  for (int host = 0; host < kMembers; ++host) world.spawn(host);
  const auto all_serve = [&world] {
    for (int host = 0; host < kMembers; ++host) {
      const Report report = world.process(host)->machine.report(world.process(host)->clock());
      if (report.state != "serving" || !report.ready || report.members.size() != kMembersMax) return false;
    }
    return true;
  };
  while (world.now() < limit && world.violation().empty() && !all_serve()) world.run_for(100 * kMs);
  return world.now();
}

TEST(FleetOf64, AllBecomeMembersByTheirLists) {
  World world({.hosts = kMembers, .fixed = true, .namespaces = 1});
  const Time limit = 5 * kSecond;  // nothing has to be waited for but the word of each for each
  const Time took = until_all_serve(world, limit);
  EXPECT_LT(took, limit) << world.state();
  EXPECT_TRUE(world.wait_served(15 * kSecond)) << world.state();
  EXPECT_EQ(world.violation(), "");
  EXPECT_LE(world.longest_frame, kFrameMax);
  std::printf("fixed: %lld ms, %zu frames, longest %zu bytes\n", static_cast<long long>(took / kMs),
              static_cast<std::size_t>(world.frames), world.longest_frame);
}

}  // namespace
}  // namespace router::fleet::test

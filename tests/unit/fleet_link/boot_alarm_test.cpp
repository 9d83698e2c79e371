#include "router/fleet_link/boot_alarm.h"

#include <gtest/gtest.h>

#include <new>
#include <vector>

#include "tests/support/loopback.h"

namespace router::fleet_link {
namespace {

using router::test::TestShard;
using router::test::turn_until;
using std::chrono::hours;
using std::chrono::milliseconds;

TEST(BootAlarm, RingsOnceAtItsTimeAndNotBefore) {
  TestShard shard;
  std::vector<BootTime> rings;
  BootAlarm alarm(shard, [&](BootTime now) { rings.push_back(now); });
  const BootTime when = BootClock::now() + milliseconds(5);
  alarm.set(when);
  ASSERT_TRUE(turn_until(shard, [&] { return !rings.empty(); }));
  EXPECT_GE(rings.front(), when);
  shard.poll();
  EXPECT_EQ(rings.size(), 1u);
}

TEST(BootAlarm, RingsAtOnceForATimeThatIsOver) {
  TestShard shard;
  int rings = 0;
  BootAlarm alarm(shard, [&](BootTime) { ++rings; });
  for (const BootTime when : {BootTime{}, BootClock::now(), BootClock::now() - hours(1)}) {
    rings = 0;
    alarm.set(when);
    EXPECT_TRUE(turn_until(shard, [&] { return rings == 1; }));
  }
}

TEST(BootAlarm, ObeysTheLastCall) {
  TestShard shard;
  int rings = 0;
  BootAlarm alarm(shard, [&](BootTime) { ++rings; });
  alarm.set(BootTime{});
  alarm.set(BootTime::max());
  shard.poll();
  alarm.set(BootTime{});
  alarm.set(BootClock::now() + hours(1));
  shard.poll();
  EXPECT_EQ(rings, 0);
}

TEST(BootAlarm, MayBeSetByItsRingAndRingsAgainAfterOneThatThrew) {
  TestShard shard;
  int rings = 0;
  BootAlarm* self = nullptr;
  BootAlarm alarm(shard, [&](BootTime now) {
    if (++rings == 2) throw std::bad_alloc();
    if (rings < 4) self->set(now);
  });
  self = &alarm;
  alarm.set(BootTime{});
  EXPECT_TRUE(turn_until(shard, [&] { return rings == 4; }));
}

}  // namespace
}  // namespace router::fleet_link

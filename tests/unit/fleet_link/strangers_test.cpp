#include "router/fleet_link/strangers.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/test_shard.h"

namespace router::fleet_link {
namespace {

using router::test::TestShard;
using runtime::Address;

class StrangersTest : public testing::Test {
 protected:
  struct Guest {
    std::shared_ptr<Life> life;
    Strangers::Stay stay;
    bool was_evicted() const { return life->cancelled(); }
  };
  Guest admit(const std::shared_ptr<Strangers>& strangers, const std::string& ip) {
    Guest guest;
    guest.life = std::make_shared<Life>(shard_);
    guest.stay = strangers->admit(*Address::parse(ip, 1), guest.life);
    return guest;
  }
  TestShard shard_;
};

TEST_F(StrangersTest, TheSourceWithMostLosesItsOldest) {
  const auto strangers = std::make_shared<Strangers>(4);
  std::vector<Guest> guests;
  for (const char* ip : {"10.0.0.1", "10.0.0.2", "10.0.0.2", "10.0.0.2", "10.0.0.3"}) guests.push_back(admit(strangers, ip));
  EXPECT_TRUE(guests[1].was_evicted());
  EXPECT_EQ(strangers->size(), 4u);
  EXPECT_EQ(strangers->evicted(), 1u);
  for (const std::size_t i : {0, 2, 3, 4}) EXPECT_FALSE(guests[i].was_evicted()) << i;
}

TEST_F(StrangersTest, TheOldestOfAllGoesWhenEachSourceHasOne) {
  const auto strangers = std::make_shared<Strangers>(2);
  std::vector<Guest> guests;
  for (const char* ip : {"10.0.0.1", "10.0.0.2", "10.0.0.3"}) guests.push_back(admit(strangers, ip));
  EXPECT_TRUE(guests[0].was_evicted());
}

TEST_F(StrangersTest, AKnownConnectionGivesUpItsPlace) {
  const auto strangers = std::make_shared<Strangers>(2);
  Guest first = admit(strangers, "10.0.0.1");
  first.stay.leave();
  first.stay.leave();
  EXPECT_EQ(strangers->size(), 0u);
  const Guest second = admit(strangers, "10.0.0.1");
  const Guest third = admit(strangers, "10.0.0.1");
  EXPECT_FALSE(first.was_evicted() || second.was_evicted() || third.was_evicted());
}

TEST_F(StrangersTest, ANetworkOf64BitsIsOneSource) {
  const auto strangers = std::make_shared<Strangers>(3);
  std::vector<Guest> guests;
  for (const char* ip : {"10.0.0.1", "fd00::1:1", "fd00::2:2", "::ffff:10.0.0.1"}) guests.push_back(admit(strangers, ip));
  EXPECT_TRUE(guests[0].was_evicted()) << "two of each source: the oldest of both";
  guests.push_back(admit(strangers, "10.0.0.9"));
  EXPECT_TRUE(guests[1].was_evicted());
}

}  // namespace
}  // namespace router::fleet_link

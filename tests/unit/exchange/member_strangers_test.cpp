#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "router/runtime/socket.h"
#include "tests/support/loopback.h"
#include "tests/unit/exchange/exchange_world.h"
#include "tls/psk.h"
#include "tls/stream.h"

/// Connections on which requests of another router shall come, before they have proven that they are a member's. The other side
/// is a real socket (docs/security.md, "The port of the fleet").
namespace router::test {
namespace {

using runtime::IoState;

tls::PskKeys keys() { return tls::PskKeys::parse(std::string(64, 'a'), "keys").value(); }

class MemberStrangers : public ExchangeTest {
 protected:
  Descriptor connect() {
    Descriptor far = connect_to(listener_.address());
    Descriptor near;
    turn_until(world.shard, [&] { return static_cast<bool>(near = listener_.accept()); });
    world.server.serve_member(runtime::Socket(world.shard, near.release()), server_);
    return far;
  }
  void connect(std::size_t strangers) {
    for (std::size_t number = 0; number < strangers; ++number) strangers_.push_back(connect());
    world.poll();
  }
  std::size_t open() { return world.server.connections(); }
  ::testing::AssertionResult nobody_is_left() {
    if (turn_until(world.shard, [&] { return open() == 0; })) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << open() << " are left";
  }
  static bool shakes(tls::Stream& member) { return member.handshake().state == IoState::kDone; }

  std::shared_ptr<tls::PskServerContext> server_ =
      tls::PskServerContext::make(keys(), tls::PskPurpose::kRequests, 1).value().front();
  std::shared_ptr<tls::PskClientContext> client_ =
      tls::PskClientContext::make(keys(), tls::PskPurpose::kRequests, 1).value().front();
  LoopbackListener listener_;
  std::vector<Descriptor> strangers_;
};

TEST_F(MemberStrangers, AreSixtyFourAndTheOldestMakesRoomSoThatAMemberGetsIn) {
  connect(64);
  EXPECT_EQ(open(), 64u);
  connect(1);
  EXPECT_TRUE(turn_until(world.shard, [&] { return open() == 64 && strangers_[0].at_end(); }));
  EXPECT_FALSE(strangers_[1].at_end() || strangers_[64].at_end());
  tls::Stream member(runtime::Socket(world.shard, connect().release()), *client_);
  EXPECT_TRUE(turn_until(world.shard, [&] { return shakes(member); }));
  connect(64);
  EXPECT_TRUE(turn_until(world.shard, [&] { return open() == 65; })) << "the member is no stranger any more";
  member.close();
  strangers_.clear();
  EXPECT_TRUE(nobody_is_left());
}

TEST_F(MemberStrangers, WhoHasProvenTheKeyMakesNoRoom) {
  tls::Stream member(runtime::Socket(world.shard, connect().release()), *client_);
  EXPECT_FALSE(shakes(member));  // sends the first message
  for (int turns = 0; turns < 50; ++turns) world.poll();
  connect(70);
  EXPECT_TRUE(turn_until(world.shard, [&] { return open() == 65; }));
  EXPECT_TRUE(turn_until(world.shard, [&] { return shakes(member); }));
  member.close();
  strangers_.clear();
  EXPECT_TRUE(nobody_is_left());
}

TEST_F(MemberStrangers, StayForFiveSeconds) {
  connect(1);
  world.advance(4999ms);
  EXPECT_EQ(open(), 1u);
  world.advance(1ms);
  EXPECT_EQ(open(), 0u);
}

TEST_F(MemberStrangers, ADrainDoesNotWaitForThem) {
  connect(2);
  world.server.close_idle();
  world.advance(1s);
  EXPECT_EQ(open(), 0u);
  connect(1);
  world.advance(0ms);
  EXPECT_EQ(open(), 0u) << "whoever connects later and says nothing";
}

TEST_F(MemberStrangers, TheEndOfTheGraceEndsThem) {
  connect(1);
  world.server.end_grace();
  world.poll();
  EXPECT_EQ(open(), 0u);
}

}  // namespace
}  // namespace router::test

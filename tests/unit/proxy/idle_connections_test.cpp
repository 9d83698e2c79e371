#include "router/proxy/idle_connections.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "tests/support/test_shard.h"
#include "tests/unit/proxy/woken_socket.h"

namespace router::proxy {
namespace {

using namespace std::chrono_literals;
using Since = IdleConnections::Since;

/// A connection with a permit that waits for its client.
class Resting final : public WokenSocket {
 public:
  Resting(test::TestShard& shard, IdleConnections& all, ConnectionLimits& limits)
      : WokenSocket(shard), permit_(limits.enter(1000).value()) {
    entry_.emplace(all, socket_, permit_);
  }
  bool enter_client(const runtime::Address& client) { return permit_.enter(client, 1); }
  void rest(Since since) { entry_->rest(since); }
  void begin(TimePoint now) { entry_->begin(now); }
  void leave() { entry_->leave(); }
  bool cut() const { return entry_->cut(); }

 private:
  ConnectionLimits::Permit permit_;
  std::optional<IdleConnections::Entry> entry_;
};

class IdleConnectionsTest : public ::testing::Test {
 protected:
  Resting& resting(Since since) {
    Resting& made = *connections.emplace_back(std::make_unique<Resting>(shard, all, limits));
    made.rest(since);
    return made;
  }
  Resting& begun() {
    Resting& made = resting(Since::kAccepted);
    made.begin(shard.now());
    return made;
  }
  bool make_room() { return all.make_room(shard.now()).has_value(); }

  test::TestShard shard;
  ConnectionLimits limits;
  IdleConnections all;
  std::vector<std::unique_ptr<Resting>> connections;
};

TEST_F(IdleConnectionsTest, MakeRoomInTheOrderInWhichTheyBeganToWait) {
  Resting& first = resting(Since::kRequest);
  const Resting& second = resting(Since::kRequest);
  const Resting& third = resting(Since::kRequest);
  first.leave();
  first.rest(Since::kRequest);  // it has had a request meanwhile
  EXPECT_TRUE(make_room() && second.cut() && !third.cut());
  EXPECT_TRUE(make_room() && third.cut() && !first.cut());
  EXPECT_TRUE(make_room() && first.cut());
  EXPECT_FALSE(make_room());
}

TEST_F(IdleConnectionsTest, ThatHaveNeverAskedGoFirst) {
  const Resting& kept = resting(Since::kRequest);
  const Resting& silent = resting(Since::kAccepted);
  EXPECT_TRUE(make_room() && silent.cut() && !kept.cut());
  EXPECT_TRUE(make_room() && kept.cut());
}

TEST_F(IdleConnectionsTest, ThatHadSentOneByteWereNeverCut) {
  const Resting& kept = resting(Since::kRequest);
  const Resting& begun_first = begun();
  shard.advance(IdleConnections::kBegunGrace + 1ms);
  const Resting& begun_now = begun();
  EXPECT_TRUE(make_room() && begun_first.cut() && !begun_now.cut());
  EXPECT_TRUE(make_room() && kept.cut() && !begun_now.cut());
  EXPECT_TRUE(make_room() && begun_now.cut());
  EXPECT_FALSE(make_room());
}

TEST_F(IdleConnectionsTest, WithARequestUnderWayAreNeverCut) {
  Resting& busy = resting(Since::kRequest);
  busy.leave();
  EXPECT_FALSE(make_room());
  EXPECT_FALSE(busy.cut());
}

TEST_F(IdleConnectionsTest, WhoseBytesHaveArrivedAreSpared) {
  Resting& asking = resting(Since::kAccepted);
  const Resting& silent = resting(Since::kAccepted);
  asking.client_sends();
  EXPECT_TRUE(make_room() && silent.cut() && !asking.cut());
  EXPECT_FALSE(make_room());
}

TEST_F(IdleConnectionsTest, GiveTheirPermitAwayAndAreWokenFromTheLoop) {
  Resting& only = resting(Since::kAccepted);
  const runtime::Address client = *runtime::Address::parse("192.0.2.1", 1);
  ASSERT_TRUE(only.enter_client(client));
  EXPECT_FALSE(limits.has_room(client, 1));
  {
    const std::optional<ConnectionLimits::Permit> permit = all.make_room(shard.now());
    ASSERT_TRUE(permit);
    EXPECT_EQ(limits.open(), 1u);
    EXPECT_TRUE(limits.has_room(client, 1)) << "the permit does not count for this client any more";
    EXPECT_EQ(only.woken(), 0);
    shard.poll();
    EXPECT_EQ(only.woken(), 1);
    connections.clear();
    EXPECT_EQ(limits.open(), 1u);
  }
  EXPECT_EQ(limits.open(), 0u);
}

TEST_F(IdleConnectionsTest, LeaveTheListAtTheirEnd) {
  resting(Since::kAccepted);
  connections.clear();
  EXPECT_FALSE(make_room());
}

}  // namespace
}  // namespace router::proxy

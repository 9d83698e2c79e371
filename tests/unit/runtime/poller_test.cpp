#include "router/runtime/poller.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "router/runtime/socket.h"
#include "tests/support/loopback.h"
#include "tests/support/test_shard.h"

namespace router::runtime {
namespace {

using test::Descriptor;
using test::TestShard;

struct Told final : Waker {
  void wake() override {
    ++count;
    if (then) then();
  }
  int count = 0;
  std::function<void()> then;
};

/// A socket, its waker, and its other end.
struct Pair {
  explicit Pair(Shard& shard, Precedence precedence = Precedence::kFirst) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) throw std::runtime_error("socketpair");
    socket = Socket(shard, ends[0], precedence);
    socket.set_waker(&told);
    far = Descriptor(ends[1]);
  }
  Told told;
  Socket socket;
  Descriptor far;
};

class PollerTest : public ::testing::Test {
 protected:
  TestShard shard;
  Pair pair{shard};
  Told& told = pair.told;
  std::array<char, 16> bytes{};
};

TEST_F(PollerTest, TellsOnceForEachTimeThatItIsArmed) {
  pair.far.send("a");
  shard.poll();
  EXPECT_EQ(told.count, 0) << "the socket is not armed";
  pair.socket.arm_read();
  pair.socket.arm_read();
  shard.poll();
  EXPECT_EQ(told.count, 1);
  shard.poll();
  EXPECT_EQ(told.count, 1);
}

TEST_F(PollerTest, TellsAgainOfWhatWasLeft) {
  pair.far.send("a");
  for (int times = 1; times <= 3; ++times) {
    pair.socket.arm_read();
    shard.poll();
    EXPECT_EQ(told.count, times) << "the bytes were not read";
  }
}

TEST_F(PollerTest, TellsNothingWhenAllWasRead) {
  pair.far.send("abc");
  pair.socket.arm_read();
  shard.poll();
  EXPECT_EQ(pair.socket.read(bytes).state, IoState::kDrained);
  pair.socket.arm_read();
  shard.poll();
  EXPECT_EQ(told.count, 1);
  pair.far.send("d");
  shard.poll();
  EXPECT_EQ(told.count, 2);
}

TEST_F(PollerTest, TellsOfTheEndThatCameTogetherWithTheLastBytes) {
  pair.socket.arm_read();
  pair.far.send("abc");
  pair.far.close();
  shard.poll();
  EXPECT_EQ(pair.socket.read(bytes).state, IoState::kDrained);
  pair.socket.arm_read();
  shard.poll();
  EXPECT_EQ(told.count, 2) << "no further event will come";
  EXPECT_EQ(pair.socket.read(bytes).state, IoState::kEof);
}

TEST_F(PollerTest, TellsOfTheEndThatComesBetweenTheBytesAndTheirReading) {
  pair.socket.arm_read();
  pair.far.send("abc");
  shard.poll();
  pair.far.close();
  EXPECT_EQ(pair.socket.read(bytes).state, IoState::kDrained);
  pair.socket.arm_read();
  shard.poll();
  EXPECT_EQ(told.count, 2);
}

TEST_F(PollerTest, TellsWhoLooksWithoutTakingOfMoreOnly) {
  pair.far.send("ab");
  pair.socket.arm_read();
  shard.poll();
  EXPECT_EQ(pair.socket.peek(bytes).bytes, 2U);
  pair.socket.arm_read();
  shard.poll();
  EXPECT_EQ(told.count, 1);
  pair.far.send("c");
  shard.poll();
  EXPECT_EQ(told.count, 2);
  EXPECT_EQ(pair.socket.peek(bytes).bytes, 3U);
}

TEST_F(PollerTest, RemembersThatThereIsRoomAgainIfNobodyWasArmedThen) {
  const std::string piece(64 * 1024, 'x');
  while (pair.socket.write(piece).state == IoState::kDone) {
  }
  pair.socket.arm_write();
  shard.poll();
  EXPECT_EQ(told.count, 0) << "it is full";
  static_cast<void>(pair.far.received());
  shard.poll();
  EXPECT_EQ(told.count, 1);
  while (pair.socket.write(piece).state == IoState::kDone) {
  }
  static_cast<void>(pair.far.received());
  shard.poll();  // the event wakes no waker, because the socket is not armed
  pair.socket.arm_write();
  shard.poll();
  EXPECT_EQ(told.count, 2);
}

TEST_F(PollerTest, APeerThatHasSaidAllMayStillHaveToTakeWhatWeSay) {
  const std::string piece(64 * 1024, 'x');
  while (pair.socket.write(piece).state == IoState::kDone) {
  }
  ::shutdown(pair.far.get(), SHUT_WR);
  shard.poll();
  pair.socket.arm_write();
  shard.poll();
  EXPECT_EQ(told.count, 0) << "the peer takes nothing yet";
  static_cast<void>(pair.far.received());
  shard.poll();
  EXPECT_EQ(told.count, 1);
}

TEST_F(PollerTest, WhoHasMoreToReadComesAgainAfterTheOthers) {
  Pair other(shard);
  Told& others = other.told;
  other.socket.arm_read();
  int before_others = 0;
  told.then = [&] {
    if (told.count == 2) other.far.send("a");
    if (others.count == 0) before_others = told.count;
    if (told.count < 100) pair.socket.arm_read();  // without reading the bytes
  };
  pair.far.send("a");
  pair.socket.arm_read();
  shard.poll();
  EXPECT_EQ(told.count, 100);
  EXPECT_EQ(others.count, 1);
  EXPECT_LE(before_others, 3);
}

TEST_F(PollerTest, WhatEndsARequestGoesBeforeWhatBeginsOne) {
  constexpr int kClients = 120;
  std::deque<Pair> clients;
  std::vector<int> order;  // -1: the replica
  for (int i = 0; i < kClients; ++i) {
    Pair& client = clients.emplace_back(shard, Precedence::kLater);
    client.told.then = [&order, i] { order.push_back(i); };
    client.socket.arm_read();
    client.far.send("a");
  }
  told.then = [this, &order] {
    order.push_back(-1);
    static_cast<void>(pair.socket.read(bytes));
    if (told.count < 3) pair.far.send("a");
    pair.socket.arm_read();
  };
  clients.front().told.then = [this, &order] {
    order.push_back(0);
    pair.far.send("a");
  };
  pair.socket.arm_read();
  shard.poll();
  ASSERT_EQ(order.size(), kClients + 3U) << "each waker was called once";
  std::vector<int> asked;
  std::ranges::copy_if(order, std::back_inserter(asked), [](int who) { return who >= 0; });
  EXPECT_TRUE(std::ranges::is_sorted(asked)) << "clients are woken in the order of their bytes";
  std::size_t before = 0;
  for (int answers = 1; answers <= 3; ++answers) {
    const auto at =
        static_cast<std::size_t>(std::ranges::find(order.begin() + static_cast<int>(before), order.end(), -1) - order.begin());
    EXPECT_LE(at - before, 40U) << "answer " << answers << " came after all the clients";
    EXPECT_GT(at - before, 1U) << "clients are woken in between";
    before = at + 1;
  }
}

TEST_F(PollerTest, ForgetsNobodyOfMoreThanOneTurnTells) {
  std::deque<Pair> clients;
  for (int i = 0; i < 350; ++i) {
    Pair& client = clients.emplace_back(shard, Precedence::kLater);
    client.socket.arm_read();
    client.far.send("a");
  }
  shard.poll();
  EXPECT_EQ(std::ranges::count(clients, 1, [](const Pair& client) { return client.told.count; }), 350);
}

TEST_F(PollerTest, ASocketMayEndInTheTurnInWhichItIsReady) {
  for (const Precedence precedence : {Precedence::kFirst, Precedence::kLater}) {
    Pair one(shard, precedence);
    Pair other(shard, precedence);
    const auto end_both = [&one, &other] {
      one.socket.close();
      other.socket.close();
    };
    for (Pair* each : {&one, &other}) {
      each->told.then = end_both;
      each->socket.arm_read();
      each->far.send("a");
    }
    shard.poll();
    EXPECT_EQ(one.told.count + other.told.count, 1);
  }
}

TEST_F(PollerTest, WakesFromTheLoopWhoeverAsksToBeWokenSoon) {
  pair.socket.wake_soon();
  EXPECT_EQ(told.count, 0);
  shard.poll();
  EXPECT_EQ(told.count, 1);
}

TEST_F(PollerTest, WhatFliesOutOfOneStepEndsThatOneAlone) {
  Pair other(shard);
  Told& others = other.told;
  const auto fail = [] { throw std::runtime_error("planned"); };
  told.then = fail;
  others.then = fail;
  for (Pair* each : {&pair, &other}) {
    each->socket.arm_read();
    each->far.send("a");
  }
  shard.poll();
  EXPECT_EQ(told.count, 1);
  EXPECT_EQ(others.count, 1);
}

/// Each reading of this clock is one second later.
class RunningClock final : public Clock {
 public:
  TimePoint now() const override { return TimePoint(std::chrono::seconds(++looks)); }
  mutable int looks = 0;
};

TEST(PollerClock, IsReadOnceAStep) {
  const RunningClock clock;
  Shard shard(0, clock, Shard::Time::kManual);
  EXPECT_NE(shard.now(), shard.now()) << "outside of a turn of the loop the clock runs";
  Pair one(shard);
  Pair other(shard);
  std::vector<TimePoint> times;
  const auto note = [&] {
    times.push_back(shard.now());
    times.push_back(shard.now());
    times.push_back(shard.read_clock());
    times.push_back(shard.now());
  };
  for (Pair* each : {&one, &other}) {
    each->told.then = note;
    each->socket.arm_read();
    each->far.send("a");
  }
  test::poll(shard);
  ASSERT_EQ(times.size(), 8U);
  EXPECT_EQ(times[0], times[1]);
  EXPECT_LT(times[1], times[2]);
  EXPECT_EQ(times[2], times[3]);
  EXPECT_LT(times[3], times[4]) << "the next step reads the clock again";
  EXPECT_NE(shard.now(), shard.now());
}

}  // namespace
}  // namespace router::runtime

#include "router/proxy/connection.h"

#include <array>
#include <new>
#include <string>

#include "tests/support/failing_memory.h"
#include "tests/unit/proxy/client_connection.h"

namespace router::proxy {
namespace {

using ConnectionTest = ClientConnectionTest;

/// A request whose body has not been sent.
constexpr std::string_view kUnfinished = "POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n";

TEST_F(ConnectionTest, ServesOneRequestAfterTheOther) {
  connect();
  for (int i = 0; i < 3; ++i) {
    send(kAsk);
    EXPECT_EQ(answers(), 1u);
  }
  EXPECT_TRUE(open());
}

TEST_F(ConnectionTest, KeepsWhatHasComeOfTheNextRequestWithTheLastOne) {
  connect();
  const std::string ask = kAsk;
  send(ask + ask + ask.substr(0, 20));
  EXPECT_EQ(answers(), 2u);
  send(ask.substr(20));
  EXPECT_EQ(answers(), 1u);
  EXPECT_TRUE(open());
}

TEST_F(ConnectionTest, StaysForTheKeepAliveTimeoutFromItsLastAnswerOn) {
  connect();
  shard.advance(59s);
  send(kAsk);
  EXPECT_EQ(answers(), 1u);
  shard.advance(59s);
  EXPECT_TRUE(open());
  shard.advance(1s);
  EXPECT_FALSE(open());
}

TEST_F(ConnectionTest, IsNotKeptByEmptyLines) {
  connect();
  for (int seconds = 0; seconds < 59; ++seconds) {
    shard.advance(1s);
    send("\r\n");
  }
  EXPECT_TRUE(open());
  shard.advance(1s);
  EXPECT_FALSE(open());
}

TEST_F(ConnectionTest, GivesAHeadTheHeaderTimeoutFromItsFirstByteOn) {
  connect();
  shard.advance(55s);
  send("GET /healthz");
  shard.advance(9s);
  EXPECT_TRUE(open()) << "the keep-alive timeout is over, but a head has begun";
  shard.advance(1s);
  EXPECT_EQ(answers("408"), 1u);
}

TEST_F(ConnectionTest, ServesWhatHasArrivedWhenTheKeepAliveTimeoutEnds) {
  connect();
  client.far.send(kAsk);  // the timer expires before the shard sees the bytes
  shard.advance(60s);
  shard.poll();
  EXPECT_EQ(answers(), 1u);
  EXPECT_TRUE(open());
}

TEST_F(ConnectionTest, EndsWithTheNumberOfRequestsThatItMayHave) {
  limits.requests_per_connection = 2;
  connect();
  send(kAsk);
  EXPECT_EQ(client.far.received().find("Connection: close"), std::string::npos);
  send(kAsk);
  EXPECT_NE(client.far.received().find("Connection: close"), std::string::npos);
}

TEST_F(ConnectionTest, EndsAtOnceInADrainOnceItHasAsked) {
  connect();
  send(kAsk);
  server.close_idle();
  shard.advance(0s);
  EXPECT_FALSE(open());
}

TEST_F(ConnectionTest, HasASecondInADrainForItsFirstRequest) {
  connect();
  server.close_idle();
  shard.advance(999ms);
  EXPECT_TRUE(open());
  send(kAsk);
  EXPECT_EQ(answers(), 1u);
  shard.advance(0s);
  EXPECT_FALSE(open());
}

TEST_F(ConnectionTest, EndsInADrainIfItsFirstRequestDoesNotCome) {
  connect();
  server.close_idle();
  shard.advance(1s);
  EXPECT_FALSE(open());
}

TEST_F(ConnectionTest, EndsWithTheGraceOfADrain) {
  connect();
  server.end_grace();
  shard.poll();
  EXPECT_FALSE(open());
}

TEST_F(ConnectionTest, AtTheLimitTheIdleOneMakesRoomForTheNewOne) {
  limits.max_connections = 1;
  connect();
  send(kAsk);
  EXPECT_EQ(answers(), 1u);
  const Connection& other = another();
  shard.poll();
  EXPECT_FALSE(open());
  EXPECT_EQ(cells.connections_displaced.value(), 1u);
  EXPECT_EQ(connections.open(), 1u);
  send(other, kAsk);
  EXPECT_EQ(answers(other), 1u);
}

TEST_F(ConnectionTest, AtTheLimitOneWhoseRequestHasBegunStays) {
  limits.max_connections = 1;
  connect();
  send(kUnfinished);
  const Connection& other = another();
  shard.poll();
  EXPECT_EQ(answers(other, "503"), 1u);
  EXPECT_TRUE(open());
  EXPECT_EQ(cells.connections_displaced.value(), 0u);
}

TEST_F(ConnectionTest, LeavesNothingCountedWhereItFindsNoMemory) {
  connect();
  send(kUnfinished);                                                             // this connection is not idle
  for (const std::size_t connections_max : {std::size_t{1}, std::size_t{10}}) {  // the new connection is refused, then served
    limits.max_connections = connections_max;
    publish();
    for (std::size_t served_before = 0, failed = 1; failed > 0; ++served_before) {
      std::array<int, 2> ends{};
      ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
      test::Descriptor other(ends[0]);
      other.send(kAsk);
      {
        const test::FailingMemory failing(served_before, 1);
        try {
          shard.start(serve(ends[1], "127.0.0.1"));
        } catch (const std::bad_alloc&) {
        }
        failed = failing.failed();
      }
      other.close();
      shard.poll();
      ASSERT_EQ(server.refused(), 0u) << served_before;
      ASSERT_EQ(cells.connections_active.value(), 1u) << served_before;
      ASSERT_EQ(connections.open(), 1u) << served_before;
    }
  }
}

}  // namespace
}  // namespace router::proxy

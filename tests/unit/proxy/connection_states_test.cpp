#include <sys/socket.h>

#include <new>
#include <string>

#include "tests/support/failing_memory.h"
#include "tests/unit/proxy/client_connection.h"

/// The client leaves, the router drains or an allocation fails, at each state of a connection.
namespace router::proxy {
namespace {

const std::string kHead = kAsk;

class ConnectionStateTest : public ClientConnectionTest {
 protected:
  ConnectionStateTest() { connect(); }
  /// Lets a connection go on that has yielded to others.
  void take_turns() {
    for (int turn = 0; turn < 100; ++turn) shard.advance(0s);
  }
  /// Sends requests, without taking an answer, until the connection is blocked.
  void fill() {
    std::string asks;
    for (int number = 0; number < 2000; ++number) asks += kHead;
    send(asks);
    take_turns();
  }
};

// --- the client leaves ---

TEST_F(ConnectionStateTest, EndsWhenTheClientLeavesBeforeItHasAsked) {
  half_close();
  EXPECT_TRUE(client.served.done());
  EXPECT_EQ(client.far.received(), "") << "the router sends nothing";
}

TEST_F(ConnectionStateTest, EndsWhenTheClientLeavesInAHead) {
  send("GET /healthz");
  half_close();
  EXPECT_TRUE(client.served.done());
  EXPECT_EQ(client.far.received(), "");
}

TEST_F(ConnectionStateTest, EndsWhenTheClientLeavesBetweenTwoRequests) {
  send(kHead);
  EXPECT_EQ(answers(), 1u);
  half_close();
  EXPECT_TRUE(client.served.done());
}

TEST_F(ConnectionStateTest, AnswersAClientThatHasAskedAndLeft) {
  client.far.send(kHead);
  half_close();
  EXPECT_EQ(answers(), 1u);
  EXPECT_TRUE(client.served.done());
}

TEST_F(ConnectionStateTest, EndsWhenTheClientLeavesInABodyThatIsDropped) {
  send("POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab");
  EXPECT_EQ(answers("404"), 1u);
  EXPECT_FALSE(client.served.done());
  half_close();
  EXPECT_TRUE(client.served.done());
}

TEST_F(ConnectionStateTest, EndsWhenTheClientLeavesWithoutTakingItsAnswers) {
  fill();
  client.far.close();
  take_turns();
  EXPECT_TRUE(client.served.done());
}

// --- time ---

TEST_F(ConnectionStateTest, LetsAClientGoThatDoesNotTakeItsAnswersForTheSendTimeout) {
  fill();
  shard.advance(limits.send_timeout - 1ms);
  EXPECT_FALSE(client.served.done());
  shard.advance(1ms);
  EXPECT_TRUE(client.served.done());
}

TEST_F(ConnectionStateTest, GoesOnWhenTheClientTakesItsAnswersInTime) {
  fill();
  shard.advance(limits.send_timeout - 1ms);
  std::size_t got = 0;
  for (std::size_t more = 1; more > 0; got += more) {
    more = answers();
    take_turns();
  }
  EXPECT_EQ(got, 2000u);
  shard.advance(59s);
  EXPECT_TRUE(open());
}

TEST_F(ConnectionStateTest, WaitsTwoSecondsForTheRestOfABodyThatNobodyWants) {
  send("POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab");
  shard.advance(1999ms);
  EXPECT_FALSE(client.served.done());
  shard.advance(1ms);
  EXPECT_TRUE(client.served.done());
}

TEST_F(ConnectionStateTest, LetsAClientReadItsRefusalForTwoSeconds) {
  send("nonsense\r\n\r\n");
  const std::string seen = client.far.received();
  EXPECT_TRUE(seen.starts_with("HTTP/1.1 400"));
  EXPECT_NE(seen.find("Connection: close\r\n"), std::string::npos);
  EXPECT_TRUE(client.far.at_end());
  shard.advance(1999ms);
  EXPECT_FALSE(client.served.done());
  shard.advance(1ms);
  EXPECT_TRUE(client.served.done());
}

TEST_F(ConnectionStateTest, MayStaySilentAsLongAsAConnectionIsKept) {
  shard.advance(59s);
  EXPECT_TRUE(open()) << "while there are permits, the header timeout applies only to a head that has begun";
  shard.advance(1s);
  EXPECT_FALSE(open());
  EXPECT_EQ(client.far.received(), "");
}

TEST_F(ConnectionStateTest, LetsOthersHaveTheirTurnAfter32RequestsThatAreThereAtOnce) {
  std::string asks;
  for (int number = 0; number < 70; ++number) asks += kHead;
  send(asks);
  EXPECT_EQ(answers(), 32u);
  shard.advance(0s);
  EXPECT_EQ(answers(), 38u);
}

// --- the drain ---

TEST_F(ConnectionStateTest, InADrainAnswersWithTheEnd) {
  server.begin_drain();
  send(kHead);
  const std::string seen = client.far.received();
  EXPECT_TRUE(seen.starts_with("HTTP/1.1 503")) << "the answer makes load balancers choose another router";
  EXPECT_NE(seen.find("Connection: close\r\n"), std::string::npos);
  half_close();
  EXPECT_TRUE(client.served.done());
}

TEST_F(ConnectionStateTest, InADrainServesTheHeadThatHasBegun) {
  send("GET /healthz HTTP/1.1\r\n");
  server.begin_drain();
  server.close_listeners();
  server.close_idle();
  shard.advance(9s);
  EXPECT_TRUE(open());
  send("Host: x\r\n\r\n");
  EXPECT_EQ(answers("503"), 1u);
  half_close();
  EXPECT_TRUE(client.served.done());
}

TEST_F(ConnectionStateTest, InADrainGivesTheHeadThatHasBegunNoMoreThanTheHeaderTimeout) {
  send("GET /healthz HTTP/1.1\r\n");
  server.close_idle();
  shard.advance(10s);
  EXPECT_EQ(answers("408"), 1u);
  half_close();
}

TEST_F(ConnectionStateTest, TheGraceEndsAHead) {
  send("GET /healthz HTTP/1.1\r\n");
  server.end_grace();
  shard.poll();
  EXPECT_TRUE(client.served.done());
  EXPECT_EQ(client.far.received(), "");
}

TEST_F(ConnectionStateTest, AnswersARequestThatWaitsInTheKernelWhenTheDrainClosesWhatIsIdle) {
  send(kHead);
  EXPECT_EQ(answers(), 1u);
  client.far.send(kHead);  // the shard has not seen the bytes yet
  server.close_idle();
  shard.poll();
  EXPECT_EQ(answers(), 1u);
}

// --- permits ---

TEST_F(ConnectionStateTest, MustAskWithinTheHeaderTimeoutOnceFourFifthsOfThePermitsAreTaken) {
  limits.max_connections = 5;
  publish();
  for (int number = 0; number < 3; ++number) another();
  shard.advance(10s);
  EXPECT_TRUE(open()) << "4 of 5 permits: load balancers open connections in advance";
  shard.advance(5s);
  Connection& fifth = another();
  shard.advance(5s);
  EXPECT_EQ(connections.open(), 4u) << "one of the first four has ended, and its permit is free";
  EXPECT_TRUE(fifth.open());
}

TEST_F(ConnectionStateTest, KeepsAConnectionThatHasAskedHoweverFewPermitsAreLeft) {
  limits.max_connections = 1;
  publish();
  send(kHead);
  shard.advance(59s);
  EXPECT_TRUE(open());
}

TEST_F(ConnectionStateTest, RefusesAClientThatHasItsOwnLimit) {
  limits.max_connections_per_client = 1;
  publish();
  Connection& first = *others.emplace_back(std::make_unique<Connection>(accept("192.0.2.1")));
  Connection& second = *others.emplace_back(std::make_unique<Connection>(accept("192.0.2.1")));
  Connection& stranger = *others.emplace_back(std::make_unique<Connection>(accept("192.0.2.2")));
  EXPECT_EQ(answers(second, "503"), 1u);
  EXPECT_TRUE(first.open() && stranger.open());
  EXPECT_EQ(cells.connections_refused.value(), 1u);
  first.far.close();
  shard.poll();
  EXPECT_TRUE(others.emplace_back(std::make_unique<Connection>(accept("192.0.2.1")))->open());
}

TEST_F(ConnectionStateTest, AClientWithItsOwnLimitFullCostsNobodyItsPermit) {
  limits.max_connections = 2;
  limits.max_connections_per_client = 1;
  publish();
  Connection& first = *others.emplace_back(std::make_unique<Connection>(accept("192.0.2.1")));
  Connection& second = *others.emplace_back(std::make_unique<Connection>(accept("192.0.2.1")));
  EXPECT_EQ(answers(second, "503"), 1u);
  EXPECT_TRUE(open() && first.open());
  EXPECT_EQ(cells.connections_displaced.value(), 0u);
}

TEST_F(ConnectionStateTest, OfMoreConnectionsThanALoweredLimitAllowsTwoMakeRoom) {
  Connection& second = another();
  Connection& third = another();
  limits.max_connections = 1;
  publish();
  Connection& newest = another();
  shard.poll();
  EXPECT_FALSE(open());
  EXPECT_FALSE(second.open());
  EXPECT_TRUE(third.open() && newest.open());
  EXPECT_EQ(cells.connections_displaced.value(), 2u);
}

TEST_F(ConnectionStateTest, AHeadThatHasBegunMoreThanASecondAgoMakesRoom) {
  limits.max_connections = 1;
  publish();
  send("GET /healthz HTTP/1.1\r\n");
  shard.advance(1001ms);
  const Connection& newest = another();
  shard.poll();
  EXPECT_TRUE(client.served.done()) << "the new connection has got its permit";
  EXPECT_EQ(client.far.received(), "");
  EXPECT_TRUE(newest.open());
  EXPECT_EQ(cells.connections_displaced.value(), 1u);
}

TEST_F(ConnectionStateTest, OfManyRefusedSixtyFourAreStillRead) {
  limits.max_connections = 1;
  publish();
  send("POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n");  // this connection is not idle
  for (std::size_t number = 0; number < ShardServer::kRefusedMax; ++number) another();
  EXPECT_EQ(server.refused(), ShardServer::kRefusedMax);
  const Connection& last = another();
  EXPECT_EQ(answers(last, "503"), 1u);
  EXPECT_TRUE(last.served.done()) << "it gets the answer, and its bytes are not read";
  shard.advance(2s);
  EXPECT_EQ(server.refused(), 0u);
}

// --- an allocation fails ---

/// The n-th allocation fails, for each n. The connection serves or ends; it never stays open without an answer.
class ConnectionWithoutMemory : public ClientConnectionTest {
 protected:
  std::size_t fail_each(std::string_view before, std::string_view then) {
    connect();
    for (std::size_t served = 0;; ++served) {
      Connection one = accept();
      if (!before.empty()) send(one, before);
      one.far.received();
      one.far.send(then);
      std::size_t failed = 0;
      {
        const test::EmptyFrameCache empty;
        const test::FailingMemory failing(served, 1);
        shard.poll();
        failed = failing.failed();
      }
      shard.poll();
      EXPECT_TRUE(answers(one) + answers(one, "500") == 1 || one.served.done() || one.far.at_end()) << served;
      one.far.close();
      shard.poll();
      EXPECT_EQ(connections.open(), 1u) << served;
      EXPECT_EQ(cells.connections_active.value(), 1u) << served;
      if (failed == 0) return served;
    }
  }
};

TEST_F(ConnectionWithoutMemory, ServesOrEndsAtTheFirstRequest) { EXPECT_GE(fail_each("", kHead), 1u); }

TEST_F(ConnectionWithoutMemory, ServesOrEndsAtALaterRequest) { EXPECT_GE(fail_each(kHead, kHead), 1u); }

TEST_F(ConnectionWithoutMemory, ServesOrEndsInAHead) {
  const std::string large = "X: " + std::string(40000, 'x') + "\r\n\r\n";
  EXPECT_GE(fail_each("GET /healthz HTTP/1.1\r\nHost: x\r\n", large), 1u);
}

TEST_F(ConnectionWithoutMemory, ServesOrEndsWhereItRefuses) { EXPECT_GE(fail_each(kHead, "nonsense\r\n\r\n"), 1u); }

}  // namespace
}  // namespace router::proxy

#include "router/proxy/connection.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <memory>
#include <new>
#include <string>

#include "router/proxy/server.h"
#include "tests/support/failing_memory.h"
#include "tests/support/loopback.h"
#include "tests/support/test_shard.h"

namespace router::proxy {
namespace {

using namespace std::chrono_literals;
using test::Descriptor;

/// A request whose body is owed.
constexpr std::string_view kUnfinished = "POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n";
constexpr const char* kAsk = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

/// One client connection over a socket pair, on a shard whose clock the test moves.
class ConnectionTest : public ::testing::Test {
 protected:
  ConnectionTest() {
    limits.keep_alive_timeout = 60s;
    limits.header_timeout = 10s;
  }
  ~ConnectionTest() override {
    client.close();
    server.close_listeners();
    shard.poll();
    EXPECT_TRUE(served.done()) << "a connection outlives its client";
    EXPECT_EQ(limit.open(), 0u);
  }

  void publish() {
    auto view = std::make_shared<View>();
    view->limits = limits;
    view->listeners[1] = {};
    view->table.metrics = metrics::Registry(1).deployment("", "");
    views.publish(view);
    shards[0].io().poll();
  }
  void connect() {
    publish();
    server.open_listener(1, std::move(runtime::listen_on("127.0.0.1", 0, 1)->front()));  // else each answer ends it
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
    client = Descriptor(ends[0]);
    served = shard.start(serve(ends[1]));
  }
  Task<bool> serve(int descriptor) {
    co_await serve_connection(server, 1, runtime::Socket(shard, descriptor), *runtime::Address::parse("127.0.0.1", 1));
    co_return true;
  }
  void send(std::string_view bytes) {
    client.send(bytes);
    shard.poll();
  }
  /// How many answers with this status have come since it was last asked.
  std::size_t answers(const std::string& status = "200") {
    const std::string all = client.received();
    const std::string line = "HTTP/1.1 " + status;
    std::size_t count = 0;
    for (std::size_t at = 0; (at = all.find(line, at)) != std::string::npos; at += line.size()) ++count;
    return count;
  }
  bool open() { return !served.done() && !client.at_end(); }

  test::TestShard shard;
  runtime::Shard control{0, shard.clock(), runtime::Shard::Time::kManual};
  runtime::ShardSet shards{1, shard.clock()};
  Views views{control, shards};
  metrics::ShardCells cells;
  ConnectionLimits limit;
  ShardServer server{shard, views, cells, 1, limit};
  config::Limits limits;
  Descriptor client;
  test::TestShard::Started<bool> served;
};

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
  EXPECT_TRUE(open()) << "the keep-alive timeout is over, but the client has asked";
  shard.advance(1s);
  EXPECT_EQ(answers("408"), 1u);
}

TEST_F(ConnectionTest, ServesWhatHasArrivedWhenTheKeepAliveTimeoutEnds) {
  connect();
  client.send(kAsk);  // the shard has not been told when its timer comes first
  shard.advance(60s);
  shard.poll();
  EXPECT_EQ(answers(), 1u);
  EXPECT_TRUE(open());
}

TEST_F(ConnectionTest, EndsWithTheNumberOfRequestsThatItMayHave) {
  limits.requests_per_connection = 2;
  connect();
  send(kAsk);
  EXPECT_EQ(client.received().find("Connection: close"), std::string::npos);
  send(kAsk);
  EXPECT_NE(client.received().find("Connection: close"), std::string::npos);
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
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
  Descriptor other(ends[0]);
  const auto second = shard.start(serve(ends[1]));
  shard.poll();
  EXPECT_FALSE(open());
  EXPECT_EQ(cells.connections_displaced.value(), 1u);
  EXPECT_EQ(limit.open(), 1u);
  other.send(kAsk);
  shard.poll();
  EXPECT_EQ(other.received().substr(0, 12), "HTTP/1.1 200");
  other.close();
  shard.poll();
}

TEST_F(ConnectionTest, AtTheLimitOneWhoseRequestHasBegunStays) {
  limits.max_connections = 1;
  connect();
  send(kUnfinished);
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
  Descriptor other(ends[0]);
  const auto second = shard.start(serve(ends[1]));
  shard.poll();
  EXPECT_EQ(other.received().substr(0, 12), "HTTP/1.1 503");
  EXPECT_TRUE(open());
  EXPECT_EQ(cells.connections_displaced.value(), 0u);
  other.close();
  shard.poll();
}

TEST_F(ConnectionTest, LeavesNothingCountedWhereItFindsNoMemory) {
  connect();
  send(kUnfinished);                                                             // it is not idle
  for (const std::size_t connections_max : {std::size_t{1}, std::size_t{10}}) {  // a refused one, and one that is served
    limits.max_connections = connections_max;
    publish();
    for (std::size_t served_before = 0, failed = 1; failed > 0; ++served_before) {
      std::array<int, 2> ends{};
      ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
      Descriptor other(ends[0]);
      other.send(kAsk);
      {
        const test::FailingMemory failing(served_before, 1);
        try {
          shard.start(serve(ends[1]));
        } catch (const std::bad_alloc&) {
        }
        failed = failing.failed();
      }
      other.close();
      shard.poll();
      ASSERT_EQ(server.refused(), 0u) << served_before;
      ASSERT_EQ(cells.connections_active.value(), 1u) << served_before;
      ASSERT_EQ(limit.open(), 1u) << served_before;
    }
  }
}

}  // namespace
}  // namespace router::proxy

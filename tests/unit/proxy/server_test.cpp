#include "router/proxy/server.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "router/metrics/registry.h"
#include "tests/support/loopback.h"
#include "tests/support/run_on.h"
#include "tests/support/test_shard.h"

namespace router::proxy {
namespace {

using runtime::Address;
using runtime::ListeningSocket;
using test::connect_to;
using test::Descriptor;
using test::turn_until;

constexpr const char* kAsk = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

/// One shard with its thread; the test's own thread is control.
class ShardServerTest : public ::testing::Test {
 protected:
  ShardServerTest() { shards.start(); }
  ~ShardServerTest() override {
    on_shard([this] {
      server.close_listeners();
      server.close_idle();
    });
    EXPECT_TRUE(turn_until(control, [this] { return connections() == 0; }));
    shards.join();
  }

  void publish(const std::vector<ListenerId>& listeners) {
    auto view = std::make_shared<View>();
    for (const ListenerId id : listeners) view->listeners[id] = {};
    views.publish(view);
  }
  void on_shard(const std::function<void()>& work) { test::run_on(shards[0], work); }
  std::size_t connections() {
    std::size_t count = 0;
    on_shard([&] { count = server.connections(); });
    return count;
  }
  /// Opens a listener and returns its address.
  Address open(ListenerId id) {
    ListeningSocket socket(std::move(runtime::listen_on("127.0.0.1", 0, 1)->front()));
    const Address address = *Address::parse("127.0.0.1", socket.port());
    on_shard([&] { server.open_listener(id, std::move(socket)); });
    return address;
  }
  /// The whole answer, or nothing if the connection ends or ten seconds pass.
  static std::string answer(const Descriptor& client) {
    std::string all;
    client.send(kAsk);
    while (all.find("ok\n") == std::string::npos) {
      pollfd ask{client.get(), POLLIN, 0};
      if (::poll(&ask, 1, 10'000) != 1 || client.at_end()) return {};
      all += client.received();
    }
    return all;
  }

  SteadyClock clock;
  test::TestShard control;
  runtime::ShardSet shards{1, clock};
  metrics::Registry metrics{1, clock};
  Views views{control, shards};
  ConnectionLimits connection_limits;
  ShardServer server{shards[0], views, metrics.shard(0), shards.size(), connection_limits};
};

TEST_F(ShardServerTest, ServesWhatHasArrivedWhenAListenerCloses) {
  publish({1});
  const Address address = open(1);
  Descriptor waiting;
  on_shard([&] {  // the shard cannot accept before this function ends
    waiting = connect_to(address);
    server.close_listener(1);
  });
  publish({});
  const std::string answered = answer(waiting);
  EXPECT_NE(answered.find("HTTP/1.1 200"), std::string::npos);
  EXPECT_NE(answered.find("Connection: close\r\n"), std::string::npos);
  EXPECT_FALSE(connect_to(address));
}

TEST_F(ShardServerTest, LetsAConnectionEndWithItsNextAnswerWhenItsListenerHasClosed) {
  publish({1, 2});
  const Descriptor first = connect_to(open(1));
  const Descriptor second = connect_to(open(2));
  EXPECT_EQ(answer(first).find("Connection: close"), std::string::npos);
  EXPECT_EQ(answer(second).find("Connection: close"), std::string::npos);
  on_shard([this] { server.close_listener(1); });
  publish({2});
  EXPECT_NE(answer(first).find("Connection: close"), std::string::npos);
  EXPECT_EQ(answer(second).find("Connection: close"), std::string::npos);
}

TEST_F(ShardServerTest, FindsTheSettingsOfAListenerByItsIdWhateverOthersThereAre) {
  publish({7});
  const Descriptor client = connect_to(open(7));
  EXPECT_NE(answer(client), "");
  publish({9, 7, 8});
  EXPECT_NE(answer(connect_to(open(8))), "");
  EXPECT_NE(answer(client), "");
}

TEST(ShardServerEnd, DestroysConnectionsThatStillWaitAndGivesTheirViewBack) {
  const SteadyClock clock;
  test::TestShard control;
  runtime::ShardSet shards{1, clock};
  metrics::Registry metrics{1, clock};
  Views views{control, shards};
  ConnectionLimits connection_limits;
  std::optional<ShardServer> server(std::in_place, shards[0], views, metrics.shard(0), shards.size(), connection_limits);
  auto view = std::make_shared<View>();
  view->listeners[1] = {};
  const std::weak_ptr<const View> watched = view;
  views.publish(std::move(view));
  ListeningSocket socket(std::move(runtime::listen_on("127.0.0.1", 0, 1)->front()));
  const Address address = *Address::parse("127.0.0.1", socket.port());
  server->open_listener(1, std::move(socket));
  shards.start();
  const Descriptor idle = connect_to(address);
  const Descriptor slow = connect_to(address);
  idle.send(kAsk);
  slow.send("POST /half HTTP/1.1\r\n");
  std::string answered;
  EXPECT_TRUE(turn_until(control, [&] { return (answered += idle.received()).find("ok\n") != std::string::npos; }));
  shards.join();
  shards.close();
  EXPECT_GE(server->connections(), 1u);
  server.reset();
  EXPECT_TRUE(idle.at_end());
  EXPECT_TRUE(turn_until(control, [&] { return slow.at_end(); }));
  views.clear();
  control.poll();
  EXPECT_TRUE(watched.expired());
}

TEST_F(ShardServerTest, ClosesAListenerOnce) {
  publish({1});
  open(1);
  on_shard([this] {
    EXPECT_TRUE(server.is_open(1));
    server.close_listener(1);
    EXPECT_FALSE(server.is_open(1));
    server.close_listener(1);
    server.close_listener(2);
  });
}

}  // namespace
}  // namespace router::proxy

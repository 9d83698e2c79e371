#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <new>
#include <string>
#include <utility>

#include "tests/support/failing_memory.h"
#include "tests/unit/proxy/client_connection.h"
#include "tests/unit/tls/peers.h"

/// From accept to the first request: the header of the PROXY protocol and the TLS handshake, each with its timeout and its end.
namespace router::proxy {
namespace {

class BeginningTest : public ClientConnectionTest {
 protected:
  void connect_with(ListenerSettings with) {
    settings = std::move(with);
    publish_again();
    connect();
  }
  /// Publishes the current limits and settings.
  void publish_again() {
    auto view = std::make_shared<View>();
    view->listeners[kListener] = settings;
    view->trusted_proxies.add("127.0.0.1");
    publish(std::move(view));
  }
  ListenerSettings settings;
};

class ProxiedTest : public BeginningTest {
 protected:
  ProxiedTest() { connect_with({.proxy_protocol = true, .tls = {}}); }
};

TEST_F(ProxiedTest, ServesBehindTheHeader) {
  send("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n");
  send(kAsk);
  EXPECT_EQ(answers(), 1u);
}

TEST_F(ProxiedTest, MustSendItsHeaderWithinTheHeaderTimeout) {
  send("PROXY TCP4 ");
  shard.advance(9s);
  send("192.0.2.1 ");
  shard.advance(999ms);
  EXPECT_TRUE(open());
  shard.advance(1ms);
  EXPECT_TRUE(client.served.done());
  EXPECT_EQ(client.far.received(), "") << "the client is not known yet, so there is no answer";
}

TEST_F(ProxiedTest, EndsWhenTheProxyLeavesInTheHeader) {
  send("PROXY TCP4 ");
  half_close();
  EXPECT_TRUE(client.served.done());
}

TEST_F(ProxiedTest, EndsWithoutAWordWhereTheHeaderIsNone) {
  send(kAsk);
  EXPECT_TRUE(client.served.done());
  EXPECT_EQ(client.far.received(), "");
}

TEST_F(ProxiedTest, HasASecondForItsHeaderOnceTheDrainClosesWhatIsIdle) {
  send("PROXY TCP4 ");
  server.close_idle();
  shard.advance(999ms);
  EXPECT_FALSE(client.served.done());
  shard.advance(1ms);
  EXPECT_TRUE(client.served.done());
}

TEST_F(ProxiedTest, CountsTheClientThatTheHeaderNames) {
  limits.max_connections_per_client = 1;
  publish_again();
  Connection& first = another();
  Connection& second = another();
  Connection& stranger = another();
  send(first, "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n");
  send(second, "PROXY TCP4 192.0.2.1 192.0.2.2 3 2\r\n");
  send(stranger, "PROXY TCP4 192.0.2.3 192.0.2.2 1 2\r\n");
  EXPECT_TRUE(first.open() && stranger.open());
  EXPECT_EQ(answers(second, "503"), 1u);
}

TEST_F(ProxiedTest, IsNotAskedForAHeaderWhereThePeerIsNoProxy) {
  const Connection stranger = accept("192.0.2.7");
  send(stranger, kAsk);
  EXPECT_EQ(answers(stranger), 1u);
  ::shutdown(stranger.far.get(), SHUT_WR);
  shard.poll();
}

// --- TLS ---

class SecuredTest : public BeginningTest {
 protected:
  SecuredTest() {
    limits.max_handshakes = 100;
    connect_with({.proxy_protocol = false, .tls = {tls::test::server_context({tls::test::localhost()})}});
    peer = std::make_unique<tls::test::RawPeer>(::dup(client.far.get()), context->get(), false);
    ::fcntl(peer->descriptor(), F_SETFL, O_NONBLOCK);
  }
  void shake() {
    for (int turn = 0; turn < 10 && !peer->shaken(); ++turn) {
      peer->shake();
      shard.poll();
    }
    EXPECT_TRUE(peer->shaken());
  }
  /// Sends the first bytes of a handshake.
  void begin() {
    SSL_do_handshake(peer->ssl());
    const std::string hello = peer->take_output();
    peer->send(hello.substr(0, 20));
    shard.poll();
  }
  std::uint64_t failed() const { return cells.handshakes_failed.value(); }

  std::shared_ptr<tls::ClientContext> context = tls::test::client_context(tls::test::authority().ca_file());
  std::unique_ptr<tls::test::RawPeer> peer;
};

TEST_F(SecuredTest, ServesBehindTheHandshakeAndCountsIt) {
  shake();
  peer->write(kAsk);
  peer->send();
  shard.poll();
  EXPECT_TRUE(peer->read().starts_with("HTTP/1.1 200"));
  EXPECT_EQ(cells.handshakes_full.value(), 1u);
  EXPECT_EQ(failed(), 0u);
  peer->close();
}

TEST_F(SecuredTest, MustShakeHandsWithinTheHeaderTimeout) {
  begin();
  shard.advance(9999ms);
  EXPECT_FALSE(client.served.done());
  shard.advance(1ms);
  EXPECT_TRUE(client.served.done());
  EXPECT_EQ(failed(), 1u);
}

TEST_F(SecuredTest, MayNotStaySilentForLongerThanTheHeaderTimeout) {
  shard.advance(10s);
  EXPECT_TRUE(client.served.done());
  EXPECT_EQ(failed(), 1u);
}

TEST_F(SecuredTest, EndsWhenTheClientLeavesInTheHandshake) {
  begin();
  half_close();
  EXPECT_TRUE(client.served.done());
  EXPECT_EQ(failed(), 1u);
}

TEST_F(SecuredTest, CountsNoFailureWhereSomebodyOnlyLooksWhetherThePortIsOpen) {
  half_close();
  EXPECT_TRUE(client.served.done());
  EXPECT_EQ(failed(), 0u);
}

TEST_F(SecuredTest, EndsWhenTheClientLeavesBehindTheHandshake) {
  shake();
  half_close();
  EXPECT_TRUE(client.served.done());
  EXPECT_EQ(failed(), 0u);
}

TEST_F(SecuredTest, HasASecondForItsHandshakeOnceTheDrainClosesWhatIsIdle) {
  begin();
  server.close_idle();
  shard.advance(999ms);
  EXPECT_FALSE(client.served.done());
  shard.advance(1ms);
  EXPECT_TRUE(client.served.done());
}

TEST_F(SecuredTest, MakesRoomForTheNewestHandshake) {
  limits.max_handshakes = 1;
  publish_again();
  begin();
  Connection& newest = another();
  shard.poll();
  EXPECT_TRUE(client.served.done());
  EXPECT_TRUE(newest.open());
}

TEST_F(SecuredTest, MakesRoomAtTheLimitOfConnections) {
  limits.max_connections = 1;
  publish_again();
  begin();
  Connection& newest = another();
  shard.poll();
  EXPECT_TRUE(client.served.done());
  EXPECT_TRUE(newest.open());
  EXPECT_EQ(cells.connections_displaced.value(), 1u);
}

TEST_F(SecuredTest, PaysNoHandshakeForAConnectionTooMany) {
  limits.max_connections_per_client = 1;
  publish_again();
  Connection& first = *others.emplace_back(std::make_unique<Connection>(accept("192.0.2.1")));
  Connection& second = *others.emplace_back(std::make_unique<Connection>(accept("192.0.2.1")));
  EXPECT_TRUE(first.open());
  EXPECT_TRUE(second.served.done());
  EXPECT_EQ(second.far.received(), "");
  EXPECT_EQ(cells.connections_refused.value(), 1u);
}

TEST_F(SecuredTest, TellsAClientThatSpeaksPlainHttp) {
  send(kAsk);
  EXPECT_EQ(answers("400"), 1u);
  shard.advance(2s);
  EXPECT_TRUE(client.served.done());
}

TEST_F(SecuredTest, SendsNoBodyToAPlainHead) {
  send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(client.far.received().ends_with("\r\n\r\n"));
}

TEST_F(SecuredTest, EndsWhereTheHandshakeFindsNoMemory) {
  for (std::size_t served = 0, failures = 1; failures > 0; ++served) {
    Connection one = accept();
    tls::test::RawPeer other(::dup(one.far.get()), context->get(), false);
    ::fcntl(other.descriptor(), F_SETFL, O_NONBLOCK);
    other.shake();
    {
      const test::EmptyFrameCache empty;
      const test::FailingMemory failing(served, 1);
      shard.poll();
      failures = failing.failed();
    }
    other.shake();
    shard.poll();
    EXPECT_TRUE(one.served.done() || one.far.at_end() || other.shaken()) << served;
    one.far.close();
    other.close();
    shard.poll();
    EXPECT_EQ(connections.open(), 1u) << served;
    EXPECT_EQ(server.handshakes().under_way(), 1u) << served;
  }
}

}  // namespace
}  // namespace router::proxy

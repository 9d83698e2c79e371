#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <memory>
#include <new>
#include <stdexcept>

#include "tests/support/certificates.h"
#include "tests/support/failing_memory.h"
#include "tests/unit/tls/peers.h"
#include "tests/unit/upstream/pod_world.h"

/// From a slot to a connection: how long that may take, and when the client leaves (contract, sections 5 and 6).
namespace router::upstream {
namespace {

using Outcome = dispatch::ReplicaReport::Outcome;

/// A listener that accepts no connection, because its backlog is full.
class DeafListener {
 public:
  DeafListener() {
    ::listen(listening_.get(), 0);
    for (test::Descriptor& filler : fillers_) {
      filler = test::Descriptor(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      static_cast<void>(::connect(filler.get(), address_.get(), address_.length()));
    }
  }
  const runtime::Address& address() const { return address_; }

 private:
  static test::Descriptor bound() {
    test::Descriptor made(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const runtime::Address any = *runtime::Address::parse("127.0.0.1", 0);
    if (::bind(made.get(), any.get(), any.length()) != 0) throw std::runtime_error("bind");
    return made;
  }
  static runtime::Address address_of(const test::Descriptor& socket) {
    sockaddr_storage storage{};
    socklen_t length = sizeof storage;
    ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&storage), &length);
    return runtime::Address::from(reinterpret_cast<const sockaddr*>(&storage), length);
  }
  test::Descriptor listening_ = bound();
  runtime::Address address_ = address_of(listening_);
  std::array<test::Descriptor, 3> fillers_;
};

std::shared_ptr<const Transport> tls_transport() {
  auto transport = std::make_shared<Transport>();
  tls::ClientOptions options;
  options.ca_file = tls::test::authority().ca_file();
  transport->contexts = tls::ClientContext::make(options, 2).value();
  transport->server_name = "localhost";
  return transport;
}

class ConnectingTest : public ::testing::Test, protected PodWorld {
 protected:
  ~ConnectingTest() override {
    if (request == nullptr) return;
    if (!request->opening->done()) request->leave();
    request->exchange.reset();
    request->held_slot.give_back();
    EXPECT_EQ(slots_in_use(), 0u);
  }
  void connect() { request = send(here); }
  /// Completes the handshake on the pod's side.
  tls::Stream shake() {
    const auto context = tls::test::server_context({tls::test::localhost()});
    contexts.push_back(context);
    tls::Stream secured(runtime::Socket(here, accept(here).release()), *context);
    EXPECT_TRUE(test::turn_until(here, [&] { return secured.handshake().state == runtime::IoState::kDone; }));
    EXPECT_TRUE(test::turn_until(here, [&] { return request->open(); }));
    return secured;
  }

  std::vector<std::shared_ptr<tls::ServerContext>> contexts;
  std::unique_ptr<Request> request;
};

TEST_F(ConnectingTest, TakesTheConnectTimeoutAtMost) {
  const DeafListener deaf;
  serve_from(deaf.address(), nullptr);
  connect();
  here.advance(milliseconds(499));
  EXPECT_FALSE(request->opening->done());
  here.advance(milliseconds(1));
  const Failure failure = request->failure();
  EXPECT_EQ(failure.reason, Reason::kUpstreamConnectFailed);
  EXPECT_EQ(failure.origin, Origin::kUpstream);
  EXPECT_EQ(failure.system_error, ETIMEDOUT);
  EXPECT_EQ(outcome_of(failure), Outcome::kFailed);
  EXPECT_EQ(slots_in_use(), 1u) << "the exchange still has its slot";
}

TEST_F(ConnectingTest, EndsAtOnceWhenTheClientLeaves) {
  const DeafListener deaf;
  serve_from(deaf.address(), nullptr);
  connect();
  request->leave();
  const Failure failure = request->failure();
  EXPECT_EQ(failure.reason, Reason::kClientClosed);
  EXPECT_EQ(outcome_of(failure), Outcome::kNone) << "the replica is not to blame";
}

TEST_F(ConnectingTest, LooksByItselfForAClientThatCannotWakeIt) {
  const DeafListener deaf;
  serve_from(deaf.address(), nullptr);
  connect();
  request->client.looks_each = milliseconds(50);
  request->wakeup.wake();  // lets the task ask for the time of its next look
  request->client.left = true;
  here.advance(milliseconds(49));
  EXPECT_FALSE(request->opening->done());
  here.advance(milliseconds(1));
  EXPECT_EQ(request->failure().reason, Reason::kClientClosed);
}

TEST_F(ConnectingTest, TellsOfAReplicaThatRefuses) {
  pod.close();
  connect();
  EXPECT_TRUE(test::turn_until(here, [&] { return request->opening->done(); }));
  const Failure failure = request->failure();
  EXPECT_EQ(failure.system_error, ECONNREFUSED);
  EXPECT_EQ(outcome_of(failure), Outcome::kRefused);
}

TEST_F(ConnectingTest, APodThatCannotBeReachedIsNotSaidToRefuse) {
  serve_from(*runtime::Address::parse("224.0.0.1", 1), nullptr);  // TCP to a multicast address: ENETUNREACH
  connect();
  EXPECT_TRUE(test::turn_until(here, [&] { return request->opening->done(); }));
  const Failure failure = request->failure();
  EXPECT_EQ(failure.system_error, ENETUNREACH);
  EXPECT_STREQ(failure.cause, "the connection to the pod could not be started");
  EXPECT_EQ(outcome_of(failure), Outcome::kFailed) << "not refused: other requests may try it";
}

// --- TLS ---

class SecureConnectingTest : public ConnectingTest {
 protected:
  SecureConnectingTest() { serve_from(pod.address(), tls_transport()); }
};

TEST_F(SecureConnectingTest, ShakesHandsWithinTheConnectTimeout) {
  connect();
  const test::Descriptor silent = accept(here);
  here.advance(milliseconds(499));
  EXPECT_FALSE(request->opening->done());
  EXPECT_FALSE(silent.received().empty()) << "a hello";
  here.advance(milliseconds(1));
  const Failure failure = request->failure();
  EXPECT_EQ(failure.reason, Reason::kUpstreamConnectFailed);
  EXPECT_EQ(failure.origin, Origin::kUpstream);
  EXPECT_EQ(outcome_of(failure), Outcome::kFailed);
  EXPECT_TRUE(test::turn_until(here, [&] { return silent.at_end(); }));
}

TEST_F(SecureConnectingTest, FailsWhenThePodLeavesInTheHandshake) {
  connect();
  test::Descriptor pod_end = accept(here);
  EXPECT_TRUE(test::turn_until(here, [&] { return !pod_end.received().empty(); }));
  pod_end.close();
  EXPECT_TRUE(test::turn_until(here, [&] { return request->opening->done(); }));
  const Failure failure = request->failure();
  EXPECT_EQ(failure.reason, Reason::kUpstreamConnectFailed);
  EXPECT_EQ(outcome_of(failure), Outcome::kFailed);
}

TEST_F(SecureConnectingTest, EndsAtOnceWhenTheClientLeavesInTheHandshake) {
  connect();
  const test::Descriptor pod_end = accept(here);
  EXPECT_TRUE(test::turn_until(here, [&] { return !pod_end.received().empty(); }));
  request->leave();
  const Failure failure = request->failure();
  EXPECT_EQ(failure.reason, Reason::kClientClosed);
  EXPECT_TRUE(test::turn_until(here, [&] { return pod_end.at_end(); }));
  EXPECT_EQ(outcome_of(failure), Outcome::kNone);
}

TEST_F(SecureConnectingTest, IsNotHandedOverToAnotherShard) {
  connect();
  tls::Stream first = shake();
  send_request(*request);
  EXPECT_TRUE(test::turn_until(here, [&] { return !tls::test::read_all(first).empty(); }));
  tls::test::write(first, {"HTTP/1.1 204 No Content\r\n\r\n"});
  ASSERT_TRUE(next_head(*request));
  request->end(Leaving::kReusable);
  request.reset();
  auto next = send(there);
  here.poll();
  there.poll();
  EXPECT_FALSE(next->opening->done());
  EXPECT_TRUE(nobody_connects()) << "the router opened a second connection to the pod";
  std::array<char, 10> bytes{};
  EXPECT_TRUE(test::turn_until(there, [&] { return first.read(bytes).state != runtime::IoState::kBlocked; })) << "it ends";
  first.close();
  const test::Descriptor second = accept(there);
  EXPECT_TRUE(second);
  next->leave();
}

TEST_F(SecureConnectingTest, DoesNotTakeAConnectionThatSpeaksPlainly) {
  serve_from(pod.address(), nullptr);
  const auto plain = replica;
  test::Descriptor connection = first();
  earn_trust(connection);
  // Another deployment has the same pod, and connects to it over TLS.
  const auto secure = make_replica(pod.address(), tls_transport(), 1, plain->pod());
  const auto another = std::make_shared<dispatch::RequestQueue>(dispatch::QueueOptions{}, here.clock());
  another->set_replicas({secure});
  another->set_ready(secure, true);
  auto next = send(here, *another);
  EXPECT_TRUE(test::turn_until(here, [&] { return connection.at_end(); }));
  EXPECT_TRUE(nobody_connects()) << "the router opened a second connection to the pod";
  connection.close();
  const test::Descriptor second = accept(here);
  EXPECT_TRUE(test::turn_until(here, [&] { return !second.received().empty(); })) << "a hello";
  next->leave();
}

TEST(SecureConnecting, GivesSlotAndConnectionBackWhereTheHandshakeFindsNoMemory) {
  const std::shared_ptr<const Transport> transport = tls_transport();
  std::size_t failed = 1;
  for (std::size_t served = 0; failed > 0; ++served) {
    PodWorld world;
    world.serve_from(world.pod.address(), transport);
    std::unique_ptr<PodWorld::Request> request;
    {
      const test::EmptyFrameCache empty;
      const test::FailingMemory one(served, 1);
      try {
        request = world.send(world.here);
        for (int turn = 0; turn < 10; ++turn) world.here.poll();
      } catch (const std::bad_alloc&) {
      }
      failed = one.failed();
    }
    const test::Descriptor pod_end = world.pod.accept();
    if (request != nullptr) request->leave();
    request.reset();
    EXPECT_EQ(world.slots_in_use(), 0u) << served;
    EXPECT_TRUE(!pod_end || test::turn_until(world.here, [&] { return !pod_end.received().empty() || pod_end.at_end(); }));
    EXPECT_TRUE(!pod_end || test::turn_until(world.here, [&] { return pod_end.at_end(); })) << served;
  }
}

// --- replacing another connection ---

TEST_F(ConnectingTest, WaitsForThePodsCloseNoLongerThanItMayTakeToConnect) {
  options.connect_timeout = milliseconds(100);
  const test::Descriptor deaf = first(500);
  connect();
  here.advance(milliseconds(99));
  EXPECT_TRUE(nobody_connects());
  here.advance(milliseconds(1));
  const test::Descriptor second = accept(here);
  ASSERT_TRUE(second);
  answer(*request, second);
}

TEST_F(ConnectingTest, ReplacesAFitConnectionWhereAFreshOneIsAskedFor) {
  test::Descriptor connection = first();
  earn_trust(connection);
  options.fresh = true;
  connect();
  EXPECT_TRUE(test::turn_until(here, [&] { return connection.at_end(); }));
  EXPECT_TRUE(nobody_connects()) << "the router opened a second connection to the pod";
  connection.close();
  const test::Descriptor second = accept(here);
  EXPECT_TRUE(test::turn_until(here, [&] { return request->open(); }));
  EXPECT_FALSE(request->exchange->reused());
}

}  // namespace
}  // namespace router::upstream

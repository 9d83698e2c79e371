#include "router/runtime/accept.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <sys/resource.h>

#include <map>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/failing_memory.h"
#include "tests/support/loopback.h"
#include "tests/support/test_shard.h"

namespace router::runtime {
namespace {

using std::chrono::milliseconds;
using test::connect_to;
using test::Descriptor;
using test::TestShard;
using test::turn_until;

class AcceptTest : public ::testing::Test {
 protected:
  void listen(const std::string& address = "127.0.0.1") {
    auto listening = listen_on(address, 0, 1);
    ASSERT_TRUE(listening.ok()) << listening.status();
    acceptor = std::make_unique<Acceptor>(shard, listening->front(), [this](int descriptor, const Address& peer) {
      accepted.emplace_back(descriptor);
      peers.push_back(peer);
    });
  }
  Descriptor client(const std::string& address = "127.0.0.1") const {
    return connect_to(*Address::parse(address, acceptor->port()));
  }
  bool accepts(std::size_t count) {
    return turn_until(shard, [&] { return accepted.size() >= count; }) && accepted.size() == count;
  }

  TestShard shard;
  std::unique_ptr<Acceptor> acceptor;
  std::vector<Descriptor> accepted;
  std::vector<Address> peers;
};

TEST_F(AcceptTest, HandsOverEveryConnectionWithItsPeer) {
  listen();
  EXPECT_NE(acceptor->port(), 0);
  const Descriptor first = client();
  const Descriptor second = client();
  ASSERT_TRUE(accepts(2));
  EXPECT_EQ(peers[0].ip(), "127.0.0.1");
  EXPECT_NE(peers[0].port(), 0);
  first.send("x");
  EXPECT_EQ(accepted[0].received(), "x");
}

TEST_F(AcceptTest, MakesAcceptedSocketsFitForTheLoop) {
  listen();
  const Descriptor connected = client();
  ASSERT_TRUE(accepts(1));
  const int descriptor = accepted[0].get();
  EXPECT_NE(::fcntl(descriptor, F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(::fcntl(descriptor, F_GETFD) & FD_CLOEXEC, 0);
  int no_delay = 0;
  socklen_t length = sizeof no_delay;
  ::getsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &no_delay, &length);
  EXPECT_EQ(no_delay, 1);
}

TEST_F(AcceptTest, TakesMoreThanOneTurnHolds) {
  listen();
  std::vector<Descriptor> clients;
  for (int i = 0; i < 200; ++i) clients.push_back(client());
  EXPECT_TRUE(accepts(200));
}

TEST_F(AcceptTest, PausesWhenDescriptorsRunOutAndGoesOn) {
  listen();
  const Descriptor connected = client();
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  const rlimit none{3, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  shard.poll();
  shard.advance(milliseconds(100));
  ::setrlimit(RLIMIT_NOFILE, &before);
  shard.poll();
  EXPECT_TRUE(accepted.empty()) << "the pause has not ended yet";
  shard.advance(milliseconds(100));
  EXPECT_TRUE(accepts(1));
}

TEST_F(AcceptTest, KeepsDescriptorsForOthersAndGoesOnWhenClientsHaveLeft) {
  listen();
  std::vector<Descriptor> clients;
  for (int i = 0; i < 5; ++i) clients.push_back(client());
  const int lowest = Descriptor(::socket(AF_INET, SOCK_STREAM, 0)).get();
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  // The numbers `lowest` and `lowest + 1` are for clients. A quarter of all numbers is reserved.
  const rlimit few{static_cast<rlim_t>(lowest + 2) * 4 / 3, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  shard.poll();
  EXPECT_EQ(accepted.size(), 3u) << "the number of the third one shows that no other is left for clients";
  for (int pause = 0; pause < 3; ++pause) shard.advance(milliseconds(100));
  EXPECT_EQ(accepted.size(), 3u);
  accepted.clear();
  shard.poll();
  EXPECT_TRUE(accepted.empty()) << "the pause has not ended yet";
  shard.advance(milliseconds(100));
  EXPECT_EQ(accepted.size(), 2u);
  ::setrlimit(RLIMIT_NOFILE, &before);
}

TEST_F(AcceptTest, PausesWhenMemoryRunsShortAndGoesOn) {
  auto listening = listen_on("127.0.0.1", 0, 1);
  bool short_of_memory = true;
  acceptor = std::make_unique<Acceptor>(shard, listening->front(), [&](int descriptor, const Address&) {
    if (std::exchange(short_of_memory, false)) {
      ::close(descriptor);
      throw std::bad_alloc();
    }
    accepted.emplace_back(descriptor);
  });
  const Descriptor lost = client();
  const Descriptor kept = client();
  ASSERT_TRUE(turn_until(shard, [&] { return !short_of_memory; }));
  EXPECT_TRUE(accepted.empty());
  shard.advance(milliseconds(100));
  EXPECT_TRUE(accepts(1));
}

TEST_F(AcceptTest, TakesWhatHasArrivedWhenItClosesAndRefusesWhatComesLater) {
  listen();
  const Descriptor waiting = client();
  acceptor->accept_what_has_arrived_and_close();
  EXPECT_EQ(accepted.size(), 1u);
  EXPECT_FALSE(client());
  acceptor->accept_what_has_arrived_and_close();
  waiting.send("still served");
  EXPECT_EQ(accepted[0].received(), "still served");
}

TEST_F(AcceptTest, MayEndWhileItPausesOrInsideItsOwnCall) {
  listen();
  const std::uint16_t port = acceptor->port();
  acceptor.reset();
  shard.poll();
  EXPECT_FALSE(connect_to(*Address::parse("127.0.0.1", port)));

  auto listening = listen_on("127.0.0.1", 0, 1);
  acceptor = std::make_unique<Acceptor>(shard, listening->front(), [this](int descriptor, const Address&) {
    accepted.emplace_back(descriptor);
    acceptor.reset();
  });
  const Descriptor first = client();
  const Descriptor second = client();
  EXPECT_TRUE(accepts(1));
}

TEST(Listening, SharesOnePortBetweenAllShards) {
  auto listening = listen_on("127.0.0.1", 0, 3);
  ASSERT_TRUE(listening.ok());
  std::vector<std::unique_ptr<TestShard>> shards;
  std::vector<std::unique_ptr<Acceptor>> acceptors;
  std::map<std::size_t, int> taken;
  for (std::size_t i = 0; i < listening->size(); ++i) {
    shards.push_back(std::make_unique<TestShard>(i));
    acceptors.push_back(std::make_unique<Acceptor>(*shards[i], (*listening)[i], [&taken, i](int descriptor, const Address&) {
      ++taken[i];
      ::close(descriptor);
    }));
  }
  ASSERT_EQ(acceptors.size(), 3u);
  EXPECT_EQ(acceptors[1]->port(), acceptors[0]->port());
  EXPECT_EQ(acceptors[2]->port(), acceptors[0]->port());
  std::vector<Descriptor> clients;
  for (int i = 0; i < 100; ++i) clients.push_back(connect_to(*Address::parse("127.0.0.1", acceptors[0]->port())));
  for (const auto& shard : shards) shard->poll();
  EXPECT_EQ(taken.size(), 3u) << "each shard accepts some of the connections";
  EXPECT_EQ(taken[0] + taken[1] + taken[2], 100);
}

TEST(Listening, NamesTheAddressWhereSomebodyListensAlready) {
  auto listening = listen_on("127.0.0.1", 0, 2);
  ASSERT_TRUE(listening.ok());
  TestShard shard;
  const Acceptor first(shard, listening->front(), [](int descriptor, const Address&) { ::close(descriptor); });
  const Acceptor second(shard, listening->back(), [](int descriptor, const Address&) { ::close(descriptor); });
  const auto again = listen_on("127.0.0.1", first.port(), 1);
  ASSERT_FALSE(again.ok());
  EXPECT_NE(again.status().message().find("127.0.0.1:" + std::to_string(first.port())), absl::string_view::npos);
  EXPECT_NE(again.status().message().find("in use"), absl::string_view::npos) << again.status();
}

TEST(Listening, MayComeBackToAPortThatItsConnectionsStillUse) {
  TestShard shard;
  auto listening = listen_on("127.0.0.1", 0, 1);
  std::vector<Descriptor> accepted;
  auto acceptor = std::make_unique<Acceptor>(
      shard, listening->front(), [&accepted](int descriptor, const Address&) { accepted.emplace_back(descriptor); });
  const std::uint16_t port = acceptor->port();
  const Descriptor client = connect_to(*Address::parse("127.0.0.1", port));
  acceptor->accept_what_has_arrived_and_close();
  ASSERT_EQ(accepted.size(), 1u);
  const auto again = listen_on("127.0.0.1", port, 1);
  ASSERT_TRUE(again.ok()) << again.status();
}

TEST(Listening, MayShareAPortThatThisProcessGivesUpAlsoOnAnotherAddress) {
  auto listening = listen_on("0.0.0.0", 0, 1);
  ASSERT_TRUE(listening.ok());
  const ListeningSocket old(std::move(listening->front()));
  EXPECT_FALSE(listen_on("127.0.0.1", old.port(), 1).ok());
  const auto next = listen_on("127.0.0.1", old.port(), 1, PortUse::kGivenUp);
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_EQ(next->front().port(), old.port());
}

TEST(Listening, IsClosedWhenNobodyTakesItOver) {
  std::uint16_t port = 0;
  {
    const ListeningSocket socket(std::move(listen_on("127.0.0.1", 0, 1)->front()));
    port = socket.port();
    EXPECT_TRUE(connect_to(*Address::parse("127.0.0.1", port)));
  }
  EXPECT_FALSE(connect_to(*Address::parse("127.0.0.1", port)));
}

TEST(Listening, LeavesNoSocketOpenForWhichThereIsNoMemory) {
  const std::uint16_t port = listen_on("127.0.0.1", 0, 1)->front().port();
  std::size_t n = 0;
  for (bool failed = true; failed; ++n) {
    {
      const test::FailingMemory memory(n, 1);
      try {
        listen_on("127.0.0.1", port, 3).IgnoreError();
      } catch (const std::bad_alloc&) {  // the exception is expected
      }
      failed = memory.failed() > 0;
    }
    const auto again = listen_on("127.0.0.1", port, 3);
    ASSERT_TRUE(again.ok()) << "allocation " << n << ": " << again.status();
  }
  EXPECT_GT(n, 2u);
}

TEST(Listening, RefusesWhatIsNoAddressOfThisMachine) {
  EXPECT_NE(listen_on("not-an-address", 0, 1).status().message().find("not-an-address"), absl::string_view::npos);
  EXPECT_NE(listen_on("192.0.2.1", 0, 1).status().message().find("192.0.2.1"), absl::string_view::npos);
}

TEST_F(AcceptTest, WithoutAnAddressTakesClientsOfEitherFamily) {
  listen("");
  const Descriptor v4 = client("127.0.0.1");
  ASSERT_TRUE(accepts(1));
  EXPECT_NE(peers[0].ip().find("127.0.0.1"), std::string::npos);
  if (const Descriptor v6 = client("::1")) {
    EXPECT_TRUE(accepts(2));
  }
}

}  // namespace
}  // namespace router::runtime

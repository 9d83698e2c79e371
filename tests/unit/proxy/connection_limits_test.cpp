#include "router/proxy/connection_limits.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace router::proxy {
namespace {

using Permit = ConnectionLimits::Permit;
constexpr std::size_t kMany = 1'000'000;

runtime::Address address(const std::string& ip, std::uint16_t port = 1) { return *runtime::Address::parse(ip, port); }

TEST(ConnectionLimits, CountTheProcessExactly) {
  ConnectionLimits limits;
  std::optional<Permit> first = limits.enter(2);
  const std::optional<Permit> second = limits.enter(2);
  EXPECT_TRUE(first && second);
  EXPECT_FALSE(limits.enter(2));
  EXPECT_EQ(limits.open(), 2u) << "a refused connection is not counted";
  first.reset();
  EXPECT_TRUE(limits.enter(2));
}

TEST(ConnectionLimits, CountEachClientByItself) {
  ConnectionLimits limits;
  std::optional<Permit> first = limits.enter(kMany);
  std::optional<Permit> second = limits.enter(kMany);
  std::optional<Permit> other = limits.enter(kMany);
  EXPECT_TRUE(first->enter(address("10.0.0.1", 1000), 1));
  EXPECT_FALSE(second->enter(address("10.0.0.1", 1001), 1)) << "the port does not matter";
  EXPECT_TRUE(other->enter(address("10.0.0.2"), 1));
  second.reset();  // it was refused, so it gives back only the permit of the process
  EXPECT_EQ(limits.clients(), 2u);
  first.reset();
  EXPECT_EQ(limits.clients(), 1u) << "a client without connections is not counted";
  std::optional<Permit> again = limits.enter(kMany);
  EXPECT_TRUE(again->enter(address("10.0.0.1"), 1));
}

TEST(ConnectionLimits, RememberNobodyWithoutALimit) {
  ConnectionLimits limits;
  std::optional<Permit> permit = limits.enter(kMany);
  EXPECT_TRUE(permit->enter(address("10.0.0.1"), 0));
  EXPECT_EQ(limits.clients(), 0u);
}

TEST(ConnectionLimits, GiveBackOnceWhenAPermitIsMoved) {
  ConnectionLimits limits;
  std::optional<Permit> permit = limits.enter(kMany);
  ASSERT_TRUE(permit->enter(address("10.0.0.1"), 5));
  {
    const Permit moved = std::move(*permit);
    permit.reset();
    EXPECT_EQ(limits.open(), 1u);
    EXPECT_EQ(limits.clients(), 1u);
  }
  EXPECT_EQ(limits.open(), 0u);
  EXPECT_EQ(limits.clients(), 0u);
}

TEST(ClientKey, IsAnIpv4AddressAlsoWhereItIsWrittenAsIpv6) {
  EXPECT_EQ(client_key(address("10.1.2.3")), client_key(address("::ffff:10.1.2.3")));
  EXPECT_NE(client_key(address("::ffff:10.1.2.3")), client_key(address("::ffff:10.1.2.4")));
}

TEST(ClientKey, IsTheFirstHalfOfAnIpv6Address) {
  EXPECT_EQ(client_key(address("2001:db8:1:2::1")), client_key(address("2001:db8:1:2:ffff::9")));
  EXPECT_NE(client_key(address("2001:db8:1:2::1")), client_key(address("2001:db8:1:3::1")));
  EXPECT_NE(client_key(address("::1")), client_key(address("0.0.0.0")));
}

/// For ThreadSanitizer, too. Shards enter and leave at the same time: no limit is exceeded, and no count is left behind.
TEST(ConnectionLimits, AreExactOverAllShards) {
  constexpr std::size_t kThreads = 4, kRounds = 2000, kProcessMax = 6, kClientMax = 2;
  ConnectionLimits limits;
  std::atomic<std::size_t> inside{0}, of_one_client{0};
  std::atomic<bool> exceeded{false};
  std::vector<std::thread> shards;
  for (std::size_t shard = 0; shard < kThreads; ++shard) {
    shards.emplace_back([&] {
      for (std::size_t round = 0; round < kRounds; ++round) {
        std::optional<Permit> one = limits.enter(kProcessMax);
        std::optional<Permit> two = limits.enter(kProcessMax);
        const std::size_t held = (one ? 1 : 0) + (two ? 1 : 0);
        if (inside.fetch_add(held) + held > kProcessMax) exceeded = true;
        const bool entered = one && one->enter(address("10.0.0.1"), kClientMax);
        if (entered && of_one_client.fetch_add(1) + 1 > kClientMax) exceeded = true;
        std::this_thread::yield();
        if (entered) of_one_client.fetch_sub(1);
        inside.fetch_sub(held);
      }
    });
  }
  for (std::thread& shard : shards) shard.join();
  EXPECT_FALSE(exceeded);
  EXPECT_EQ(limits.open(), 0u);
  EXPECT_EQ(limits.clients(), 0u);
}

}  // namespace
}  // namespace router::proxy

#include "router/runtime/resolver.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/loopback.h"
#include "tests/support/test_shard.h"

namespace router::runtime {
namespace {

using test::TestShard;
using test::turn_until;

/// A name server whose first answer waits for the test. Later answers come at once.
struct SlowServer {
  std::promise<void> answer;
  std::promise<void> asked;
  std::shared_future<void> answered = answer.get_future().share();
  bool first = true;

  static Resolver::LookUp look_up(const std::shared_ptr<SlowServer>& self) {
    return [self](const std::string&, std::uint16_t port) -> Resolver::Addresses {
      if (std::exchange(self->first, false)) self->asked.set_value();
      self->answered.wait();
      return std::vector{*Address::parse("192.0.2.1", port)};
    };
  }
};

class ResolverTest : public ::testing::Test {
 protected:
  Resolver::Done keep(std::optional<Resolver::Addresses>& into) {
    return [&into](Resolver::Addresses addresses) { into = std::move(addresses); };
  }
  TestShard shard;
  std::optional<Resolver::Addresses> answer;
};

TEST_F(ResolverTest, AnswersAnIpAddressWithoutALookUpButNotInsideTheCall) {
  Resolver resolver(shard, [](const std::string&, std::uint16_t) -> Resolver::Addresses { std::abort(); });
  resolver.resolve("fd00::1", 80, keep(answer));
  EXPECT_FALSE(answer);
  shard.poll();
  ASSERT_TRUE(answer && answer->ok());
  EXPECT_EQ((*answer)->front().text(), "[fd00::1]:80");
}

TEST_F(ResolverTest, AsksTheSystemForAName) {
  Resolver resolver(shard);
  resolver.resolve("localhost", 81, keep(answer));
  ASSERT_TRUE(turn_until(shard, [&] { return answer.has_value(); }));
  ASSERT_TRUE(answer->ok()) << answer->status();
  for (const Address& each : **answer) EXPECT_TRUE(each.text() == "127.0.0.1:81" || each.text() == "[::1]:81") << each.text();
}

TEST_F(ResolverTest, TellsANameThatDoesNotExist) {
  Resolver resolver(shard);
  resolver.resolve("no such name", 80, keep(answer));  // the resolver itself refuses the name, so the test needs no name server
  ASSERT_TRUE(turn_until(shard, [&] { return answer.has_value(); }));
  EXPECT_NE(answer->status().message().find("no such name"), absl::string_view::npos) << answer->status();
}

TEST_F(ResolverTest, AnswersInTheOrderOfTheQuestions) {
  Resolver resolver(shard, [](const std::string&, std::uint16_t port) -> Resolver::Addresses {
    return std::vector{*Address::parse("192.0.2.1", port)};
  });
  std::vector<int> order;
  for (int i = 0; i < 100; ++i) resolver.resolve("pod", 80, [&order, i](const auto&) { order.push_back(i); });
  ASSERT_TRUE(turn_until(shard, [&] { return order.size() == 100; }));
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST_F(ResolverTest, RefusesAtOnceWhatIsBeyondItsQueue) {
  const auto server = std::make_shared<SlowServer>();
  Resolver resolver(shard, SlowServer::look_up(server));
  std::size_t answered = 0;
  const auto count = [&answered](const Resolver::Addresses& addresses) { answered += addresses.ok() ? 1 : 0; };
  resolver.resolve("slow", 80, count);
  server->asked.get_future().wait();
  for (std::size_t i = 0; i < Resolver::kWaitingMax; ++i) resolver.resolve("waits", 80, count);
  resolver.resolve("one-more", 80, keep(answer));
  shard.poll();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(answered, 0u);
  server->answer.set_value();
  EXPECT_TRUE(turn_until(shard, [&] { return answered == Resolver::kWaitingMax + 1; }));
}

TEST_F(ResolverTest, EndsWithoutWaitingForALookUpAndCallsNobodyAfterwards) {
  const auto server = std::make_shared<SlowServer>();
  const auto held = std::make_shared<int>();
  {
    Resolver resolver(shard, SlowServer::look_up(server));
    resolver.resolve("slow", 80, [this, held](Resolver::Addresses addresses) { answer = std::move(addresses); });
    resolver.resolve("192.0.2.1", 80, [this, held](Resolver::Addresses addresses) { answer = std::move(addresses); });
    server->asked.get_future().wait();
  }
  EXPECT_EQ(held.use_count(), 1) << "this thread frees what the callbacks hold, not the resolver's";
  server->answer.set_value();
  shard.poll();
  EXPECT_FALSE(answer);
}

TEST_F(ResolverTest, MayBeDestroyedByItsOwnAnswer) {
  auto resolver = std::make_unique<Resolver>(shard);
  resolver->resolve("192.0.2.1", 80, [&](const auto&) { resolver.reset(); });
  resolver->resolve("192.0.2.2", 80, keep(answer));
  shard.poll();
  EXPECT_EQ(resolver, nullptr);
  EXPECT_FALSE(answer);
}

}  // namespace
}  // namespace router::runtime

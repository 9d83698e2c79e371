#include "router/client/connect.h"

#include <arpa/inet.h>

#include <atomic>
#include <memory>

#include "tests/support/certificates.h"
#include "tests/unit/client/server.h"
#include "tls/context.h"

namespace router::client::test {
namespace {

using router::test::SilentListener;
using runtime::Address;
using runtime::Resolver;

class Connect : public ServerTest {
 protected:
  auto start(std::vector<Address> addresses, Deadline deadline = kNever, Security security = {}) {
    return shard.start(connect(*cancellation, std::move(addresses), security, {}, deadline));
  }
};

TEST_F(Connect, TakesTheFirstAddressThatAccepts) {
  LoopbackListener gone;
  const Address refuses = gone.address();
  gone.close();
  const auto connecting = start({refuses, listener.address()});
  end(connecting);
  EXPECT_TRUE(connecting.peek().has_value());
  EXPECT_TRUE(accept());
}

TEST_F(Connect, TellsWhyTheLastAddressDidNotAccept) {
  listener.close();
  const auto connecting = start({listener.address()});
  end(connecting);
  const Error& error = connecting.peek().error();
  EXPECT_EQ(error.stage, Stage::kConnect);
  EXPECT_EQ(error.system_error, ECONNREFUSED);
  EXPECT_FALSE(error.connected());
  EXPECT_EQ(status_of(error).message(), "it cannot be reached: Connection refused");
  EXPECT_EQ(status_of(shard.run(connect(*cancellation, {}, {}, {}, kNever)).error()).message(), "it has no address");
}

TEST_F(Connect, LeavesTimeForTheOtherAddressWhenOneIsSilent) {
  const SilentListener silent;
  const auto connecting = start({silent.address(), listener.address()}, shard.now() + seconds(4));
  shard.advance(milliseconds(1999));
  EXPECT_FALSE(connecting.done());
  shard.advance(milliseconds(1));
  end(connecting);
  EXPECT_TRUE(connecting.peek().has_value());
}

TEST_F(Connect, GivesUpAtItsDeadlineAndWhenCancelled) {
  const SilentListener silent;
  const auto late = start({silent.address()}, shard.now() + seconds(4));
  shard.advance(seconds(4));
  EXPECT_EQ(error_kind(late), ErrorKind::kTimedOut);
  const auto unwanted = start({silent.address(), listener.address()});
  cancellation->cancel();
  EXPECT_EQ(error_kind(unwanted), ErrorKind::kCancelled);
  EXPECT_EQ(error_kind(start({listener.address()})), ErrorKind::kCancelled);
  EXPECT_FALSE(is_asked_for_a_connection());
}

TEST_F(Connect, EndsAHandshakeThatIsNotAnswered) {
  const auto context = tls::ClientContext::make({}, 1).value().front();
  const std::string name = "server.example";
  const Security security(*context, name);
  const auto late = start({listener.address()}, shard.now() + seconds(4), security);
  const Descriptor first = accept();
  shard.advance(seconds(4));
  EXPECT_EQ(error_kind(late), ErrorKind::kTimedOut);
  EXPECT_EQ(late.peek().error().stage, Stage::kHandshake);
  EXPECT_TRUE(late.peek().error().connected());
  const auto refused = start({listener.address()}, kNever, security);
  accept().send("HTTP/1.1 400 Bad Request\r\n\r\n");
  EXPECT_EQ(error_kind(refused), ErrorKind::kFailed);
  EXPECT_EQ(status_of(refused.peek().error()).message(), "the peer does not speak TLS");
}

TEST_F(Connect, LooksUpNamesAndAsksNobodyAboutAddresses) {
  std::atomic<int> asked = 0;
  Resolver resolver(shard, [&](const std::string& host, std::uint16_t) -> Resolver::Addresses {
    ++asked;
    if (host == "absent.example") return absl::NotFoundError("no such name");
    return std::vector<Address>{*Address::parse("10.1.2.3", 80), *Address::parse("fd00::1", 80)};
  });
  EXPECT_EQ(shard.run(look_up(*cancellation, resolver, "10.9.9.9", 80, kNever))->front().text(), "10.9.9.9:80");
  EXPECT_EQ(asked, 0);
  const auto found = shard.start(look_up(*cancellation, resolver, "server.example", 80, kNever));
  end(found);
  EXPECT_EQ(found.peek()->size(), 2U);
  const auto absent = shard.start(look_up(*cancellation, resolver, "absent.example", 80, kNever));
  EXPECT_EQ(error_kind(absent), ErrorKind::kFailed);
  EXPECT_EQ(status_of(absent.peek().error()).message(), "its name cannot be resolved: no such name");
}

TEST_F(Connect, DoesNotWaitForALookUpLongerThanItMay) {
  auto answers = std::make_shared<std::atomic<bool>>(false);
  Resolver resolver(shard, [answers](const std::string&, std::uint16_t) -> Resolver::Addresses {
    while (!*answers) std::this_thread::yield();
    return std::vector<Address>{*Address::parse("10.1.2.3", 80)};
  });
  const auto late = shard.start(look_up(*cancellation, resolver, "slow.example", 80, shard.now() + seconds(1)));
  shard.advance(seconds(1));
  EXPECT_EQ(error_kind(late), ErrorKind::kTimedOut);
  const auto unwanted = shard.start(look_up(*cancellation, resolver, "slow.example", 80, kNever));
  cancellation->cancel();
  EXPECT_EQ(error_kind(unwanted), ErrorKind::kCancelled);
  *answers = true;  // the waiting task is gone
}

}  // namespace
}  // namespace router::client::test

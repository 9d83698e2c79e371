#include "router/proxy/account.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <new>
#include <stdexcept>

#include "router/proxy/exchange.h"
#include "router/proxy/http1_downstream.h"
#include "router/proxy/server.h"
#include "tests/support/loopback.h"
#include "tests/support/test_shard.h"

namespace router::proxy {
namespace {

using namespace std::chrono_literals;
using test::Descriptor;

/// One exchange of a client over a socket pair, on a shard whose clock the test moves.
class AccountTest : public ::testing::Test {
 protected:
  AccountTest() {
    auto view = std::make_shared<View>();
    view->limits.header_timeout = 10s;
    view->listeners[1] = {};
    view->table.metrics = told;
    views.publish(view);
    shards[0].io().poll();
    server.open_listener(1, std::move(runtime::listen_on("127.0.0.1", 0, 1)->front()));
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
    client = Descriptor(ends[0]);
    stream = tls::Stream(runtime::Socket(shard, ends[1]));
    stream.socket().set_waker(&wakeup);
    record.ids = &ids;
    record.begun = shard.now();
  }
  ~AccountTest() override {
    server.close_listeners();
    shard.poll();
  }

  std::uint64_t count(Reason reason, int status) const {
    std::uint64_t found = 0;
    told->cells()[0].requests(reason).each([&](int each, std::uint64_t times) { found += each == status ? times : 0; });
    return found;
  }

  test::TestShard shard;
  runtime::Shard control{0, shard.clock(), runtime::Shard::Time::kManual};
  runtime::ShardSet shards{1, shard.clock()};
  Views views{control, shards};
  metrics::ShardCells cells;
  ConnectionLimits limit;
  std::shared_ptr<metrics::DeploymentMetrics> told = metrics::Registry(1).deployment("", "");
  ShardServer server{shard, views, cells, 1, limit};
  Descriptor client;
  tls::Stream stream;
  runtime::Wakeup wakeup{shard};
  const Peer peer{};
  RequestIds ids;
  Record record;
};

TEST_F(AccountTest, TellsAnExchangeThatEndsInOrderOnce) {
  Http1Downstream downstream(server, 1, stream, wakeup, peer);
  const Views::Snapshot view = server.view();
  {
    Account account(server, view, downstream, record);
    record.status = 200;
    account.report();
  }
  EXPECT_EQ(count(Reason::kNone, 200), 1u);
  EXPECT_EQ(count(Reason::kInternal, 500), 0u);
}

TEST_F(AccountTest, TellsAnExchangeThatAnExceptionEndsAsInternal) {
  Http1Downstream downstream(server, 1, stream, wakeup, peer);
  const Views::Snapshot view = server.view();
  const auto ends_badly = [&] {
    const Account account(server, view, downstream, record);
    shard.advance(20ms);
    throw std::runtime_error("planted");
  };
  EXPECT_THROW(ends_badly(), std::runtime_error);
  EXPECT_EQ(count(Reason::kInternal, 500), 1u);
  EXPECT_EQ(told->cells()[0].duration().sum_nanoseconds(), 20'000'000u);
}

}  // namespace
}  // namespace router::proxy

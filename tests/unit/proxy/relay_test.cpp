#include "router/proxy/relay.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "router/proxy/upstream_close.h"
#include "tests/support/quiet_downstream.h"
#include "tests/support/test_shard.h"

namespace router::proxy {
namespace {

using namespace std::chrono_literals;

/// A client that has sent its request. While it is blocked it takes nothing. It counts what it gets.
class Client final : public test::QuietDownstream {
 public:
  bool takes = true;
  int interims = 0;
  int status = 0;

  void begin_head(int begun, std::string_view) override { status = begun; }
  void interim(const http::ResponseHead&) override { ++interims; }
  Result<void> flush() override {
    blocked_ = !takes;
    return {};
  }
  bool blocked() const override { return blocked_; }
  bool responded() const override { return status != 0; }

 private:
  bool blocked_ = false;
};

/// The calls that a pod got.
struct Asked {
  int interims = 0;  // interim responses that the pod still sends before its answer
  int heads_read = 0;
  int armed = 0;
};

/// A pod that has the request, and sends interim responses before its answer.
class Pod final : public upstream::UpstreamExchange {
 public:
  explicit Pod(Asked& asked) : asked_(asked) {}

  dispatch::HeldSlot& held_slot() override { return held_slot_; }
  bool reused() const override { return false; }
  void begin_head(std::string_view, std::string_view, std::string_view, std::string_view) override {}
  void field(std::string_view, std::string_view) override {}
  void end_head(wire::BodySize) override {}
  void body_piece(std::string_view) override {}
  void body_end(const http::Fields*) override {}
  Result<void> flush() override { return {}; }
  bool blocked() const override { return false; }
  bool request_sent() const override { return true; }
  Result<const http::ResponseHead*> response_head() override {
    head_.status = asked_.interims > 0 ? 103 : 200;
    return &head_;
  }
  void skip_interim() override {
    --asked_.interims;
    ++asked_.heads_read;
  }
  wire::BodySize response_size() const override { return {}; }
  Result<wire::Progress> read_body(wire::BodySink&) override { return wire::Progress::kEnded; }
  bool pod_closes() const override { return false; }
  void arm_read() override { ++asked_.armed; }
  void arm_write() override {}
  upstream::Unseen ended_unseen() const override { return upstream::Unseen::kNo; }
  dispatch::HeldSlot release() override { return {}; }
  void finish() override {}
  void begin_close() override {}
  wire::Progress await_close() override { return wire::Progress::kEnded; }
  void close() override {}

 private:
  Asked& asked_;
  dispatch::HeldSlot held_slot_;
  http::ResponseHead head_;
};

class RelayTest : public ::testing::Test {
 protected:
  RelayTest() {
    deployment.request_timeout = deployment.stream_idle_timeout = deployment.upload_timeout = 10s;
    endpoint.name = "iris";
    route.endpoint = &endpoint;
    route.deployment = &deployment;
    record.sent = shard.now();
  }
  test::TestShard::Started<Result<void>> start() {
    upstream::UpstreamExchange& pod = upstream_close.hold(std::make_unique<Pod>(asked), 1s);
    relay.emplace(client, pod, copy, route, ids, Patience{}, limits, wakeup, record, upstream_close);
    return shard.start(relay->run());
  }

  test::TestShard shard;
  runtime::Wakeup wakeup{shard};
  model::Endpoint endpoint;
  model::Deployment deployment;
  model::Route route;
  RequestIds ids;
  config::Limits limits;
  Record record;
  UpstreamClose upstream_close{shard};
  std::unique_ptr<MirrorCopy> copy;
  Client client;
  Asked asked;
  std::optional<Relay> relay;
};

TEST_F(RelayTest, PassesEightInterimResponsesOnAndReadsTheOthersInTurns) {
  asked.interims = 1000;
  auto relaying = start();
  for (int turns = 0; turns < 100 && !relaying.done(); ++turns) shard.advance(1ms);
  ASSERT_TRUE(relaying.done());
  EXPECT_TRUE(relaying.get());
  EXPECT_EQ(client.interims, 8);
  EXPECT_EQ(client.status, 200);
  EXPECT_EQ(asked.heads_read, 1000);
}

TEST_F(RelayTest, KeepsNoInterimResponseForAClientThatTakesNothing) {
  asked.interims = 3;
  client.takes = false;
  client.flush().value();
  auto relaying = start();
  shard.advance(1s);
  EXPECT_EQ(client.interims, 0);
  EXPECT_EQ(asked.heads_read, 0);
  EXPECT_EQ(asked.armed, 0) << "it would be woken again and again by bytes that are not read";
  client.takes = true;
  wakeup.wake();
  shard.advance(1ms);
  ASSERT_TRUE(relaying.done());
  EXPECT_TRUE(relaying.get());
  EXPECT_EQ(client.interims, 3);
  EXPECT_EQ(client.status, 200);
}

TEST_F(RelayTest, BlamesAClientThatLetsAnInterimResponseWaitAndNotThePod) {
  asked.interims = 1;
  client.takes = false;
  client.flush().value();
  limits.min_send_rate = 0;
  auto relaying = start();
  shard.advance(10s);
  ASSERT_TRUE(relaying.done());
  const Result<void> relayed = relaying.get();
  ASSERT_FALSE(relayed);
  EXPECT_EQ(relayed.error().reason, Reason::kClientTimeout);
  EXPECT_EQ(relayed.error().origin, Origin::kDownstream);
  EXPECT_FALSE(upstream::blames_replica(relayed.error()));
  upstream_close.begin();
  upstream_close.proceed();
}

}  // namespace
}  // namespace router::proxy

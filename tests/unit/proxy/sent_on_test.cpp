#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>

#include "router/metrics/registry.h"
#include "router/proxy/connection.h"
#include "router/proxy/server.h"
#include "router/runtime/line_writer.h"
#include "router/upstream/peers.h"
#include "router/upstream/replica.h"
#include "tests/support/loopback.h"
#include "tests/support/test_shard.h"

/// Two routers in one process, as a client and a pod see them: the request arrives at one of them, and the other is home. All
/// sockets are real (docs/decisions/0072-requests-sent-on.md).
namespace router::proxy {
namespace {

using namespace std::chrono_literals;
using dispatch::NamespaceHome;

/// A file that is removed at the end of the test.
class TemporaryFile {
 public:
  TemporaryFile() { ::close(::mkstemp(path_.data())); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() { ::unlink(path_.c_str()); }
  const std::string& path() const { return path_; }
  std::string content() const {
    std::ostringstream text;
    text << std::ifstream(path_).rdbuf();
    return text.str();
  }

 private:
  std::string path_ = testing::TempDir() + "access-XXXXXX";
};

/// One router: its view of the endpoint `iris`, whose deployment `blue` has a queue of its own here.
class OneRouter {
 public:
  OneRouter(test::TestShard& shard, runtime::Shard& control, runtime::ShardSet& shards)
      : shard_(shard),
        views_(control, shards),
        queue_(std::make_shared<dispatch::RequestQueue>(dispatch::QueueOptions{}, shard.clock())),
        home_(std::make_shared<NamespaceHome>()),
        connections_(std::make_unique<ConnectionLimits>()),
        server_(std::make_unique<ShardServer>(shard, views_, cells_, 1, *connections_)),
        shards_(shards) {}
  ~OneRouter() {
    queue_->close();
    server_.reset();
    views_.clear();
  }

  void publish(std::shared_ptr<const upstream::Peers> peers) {
    auto endpoint = std::make_unique<model::Endpoint>();
    endpoint->name = "iris";
    endpoint->auth_mode = config::AuthMode::kKey;
    endpoint->keys.push_back({"key"});
    endpoint->metrics = metrics_.deployment("iris", "");
    auto blue = std::make_unique<model::Deployment>();
    blue->name = "blue";
    blue->score_path = "/score";
    blue->request_timeout = 5s;
    blue->queue_wait_max = 5s;
    blue->connect_timeout = 500ms;
    blue->stream_idle_timeout = blue->upload_timeout = 60s;
    blue->abort_wait = 250ms;
    blue->request_bytes_max = 100'000'000;
    blue->queue = queue_;
    blue->home = home_;
    blue->metrics = metrics_.deployment("iris", "blue");
    endpoint->traffic.push_back({100, blue.get()});
    endpoint->deployments.push_back(std::move(blue));
    auto view = std::make_shared<View>();
    view->generation = view->table.generation = 1;
    view->listeners.try_emplace(1);
    view->via = http::Via("fleet");
    view->table.metrics = metrics_.deployment("", "");
    view->table.by_name.emplace("iris", endpoint.get());
    view->table.endpoints.push_back(std::move(endpoint));
    view->peers = std::move(peers);
    view->access_log = std::move(*runtime::LineWriter::open(log_.path(), 1));
    views_.publish(std::move(view));
    shards_[0].io().poll();
    shard_.poll();
  }
  void serve_pod(const runtime::Address& address) {
    auto replica = std::make_shared<upstream::Replica>(
        upstream::ReplicaOptions{.name = "pod:1", .slots = 1, .host = "pod", .address = address, .transport = nullptr});
    queue_->set_replicas({replica});
    queue_->set_ready(replica, true);
  }
  NamespaceHome& home() { return *home_; }
  ShardServer& server() { return *server_; }
  dispatch::RequestQueue& queue() { return *queue_; }
  std::string logged() const { return log_.content(); }
  std::uint64_t told() {
    std::uint64_t all = 0;
    for (std::size_t reason = 0; reason < kReasonCount; ++reason) {
      for (const char* deployment : {"blue", ""}) {
        metrics_.deployment("iris", deployment)
            ->cells()[0]
            .requests(static_cast<Reason>(reason))
            .each([&](int, std::uint64_t times) { all += times; });
      }
    }
    return all;
  }

 private:
  const TemporaryFile log_;
  test::TestShard& shard_;
  metrics::Registry metrics_{1};
  metrics::ShardCells cells_;
  Views views_;
  std::shared_ptr<dispatch::RequestQueue> queue_;
  std::shared_ptr<NamespaceHome> home_;
  std::unique_ptr<ConnectionLimits> connections_;
  std::unique_ptr<ShardServer> server_;
  runtime::ShardSet& shards_;
};

class SentOn : public ::testing::Test {
 protected:
  SentOn() {
    near_.home().set(0);
    far_.home().set(NamespaceHome::kHere);
    auto peers = std::make_shared<upstream::Peers>();
    peers->members.push_back(std::make_shared<upstream::Peer>(
        upstream::PeerOptions{.member = "far", .address = fleet_port_.address(), .host = {}, .transport = nullptr},
        shard_.clock()));
    near_.publish(std::move(peers));
    far_.publish(nullptr);
    far_.serve_pod(pod_.address());
    near_.server().open_listener(1, std::move(runtime::listen_on("127.0.0.1", 0, 1)->front()));
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    client_ = test::Descriptor(ends[0]);
    served_.emplace(shard_.start(serve(ends[1])));
  }
  ~SentOn() override {
    near_.server().close_listeners();
    client_.close();
    at_pod_.close();
    EXPECT_TRUE(turn_until([&] { return served_->done(); })) << "the connection outlives its client";
    near_.server().close_idle();
    far_.server().close_idle();
    for (int steps = 0; steps < 5; ++steps) shard_.advance(1h);
    turn_until([&] { return far_.server().connections() == 0; });
    EXPECT_EQ(far_.queue().demand().slots_in_use, 0u);
    EXPECT_EQ(far_.queue().demand().waiting, 0u);
  }

  Task<bool> serve(int descriptor) {
    co_await serve_connection(near_.server(), 1, runtime::Socket(shard_, descriptor), *runtime::Address::parse("127.0.0.1", 1));
    co_return true;
  }
  /// Runs both routers; the fleet port hands its connections over as the fleet will.
  bool turn_until(const std::function<bool()>& condition) {
    return test::turn_until(shard_, [&] {
      if (test::Descriptor accepted = fleet_port_.accept()) {
        ++connections_;
        far_.server().serve_member(runtime::Socket(shard_, accepted.release()), nullptr);
      }
      if (!at_pod_) at_pod_ = pod_.accept();
      if (at_pod_) pod_heard_ += at_pod_.received();
      client_heard_ += client_.received();
      return condition();
    });
  }
  static bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }
  void ask(const std::string& fields = "", std::string_view body = "") {
    client_.send("POST /api/v1/endpoint/iris/score HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer key\r\n" + fields + "\r\n");
    client_.send(body);
  }
  ::testing::AssertionResult pod_hears(std::string_view part) {
    if (turn_until([&] { return has(pod_heard_, part); })) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << pod_heard_;
  }
  ::testing::AssertionResult client_hears(std::string_view part) {
    if (turn_until([&] { return has(client_heard_, part); })) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << client_heard_;
  }

  test::TestShard shard_;
  runtime::Shard control_{0, shard_.clock(), runtime::Shard::Time::kManual};
  runtime::ShardSet shards_{1, shard_.clock()};
  test::LoopbackListener pod_;
  test::LoopbackListener fleet_port_;
  OneRouter near_{shard_, control_, shards_};
  OneRouter far_{shard_, control_, shards_};
  test::Descriptor client_;
  test::Descriptor at_pod_;
  std::optional<test::TestShard::Started<bool>> served_;
  std::string pod_heard_;
  std::string client_heard_;
  int connections_ = 0;
};

TEST_F(SentOn, ARequestAndItsAnswerPassBothRouters) {
  ask("Content-Length: 3\r\nX-Custom: 1\r\nx-ir: a 5 - 1 - /a/b\r\nx-ir-home: 5\r\n", "abc");
  ASSERT_TRUE(pod_hears("abc"));
  EXPECT_TRUE(pod_heard_.starts_with("POST /score HTTP/1.1\r\n")) << pod_heard_;
  EXPECT_TRUE(has(pod_heard_, "X-Custom: 1\r\n") && has(pod_heard_, "X-Forwarded-Host: x\r\n")) << pod_heard_;
  EXPECT_TRUE(has(pod_heard_, "Via: 1.1 fleet\r\n"));
  EXPECT_EQ(pod_heard_.find("Via"), pod_heard_.rfind("Via")) << "once";
  EXPECT_FALSE(has(pod_heard_, "x-ir")) << pod_heard_;
  EXPECT_EQ(far_.queue().demand().slots_in_use, 1u);
  EXPECT_EQ(near_.queue().demand().slots_in_use, 0u);
  at_pod_.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nx-fine: 1\r\n\r\nfine");
  ASSERT_TRUE(client_hears("fine"));
  EXPECT_TRUE(client_heard_.starts_with("HTTP/1.1 200 OK\r\n")) << client_heard_;
  EXPECT_TRUE(client_hears("\r\n\r\nfine"));
  EXPECT_TRUE(has(client_heard_, "x-fine: 1\r\n") && has(client_heard_, "azureml-model-deployment: blue\r\n"));
  EXPECT_FALSE(has(client_heard_, "x-ir") || has(client_heard_, " 199 "));
  EXPECT_TRUE(turn_until([&] { return far_.queue().demand().slots_in_use == 0; }));
  EXPECT_EQ(near_.told(), 1u);
  EXPECT_EQ(far_.told(), 0u) << "counted once in the fleet";
}

TEST_F(SentOn, TheAccessLogOfTheRouterThatHasTheClientNamesThePodAndTheTimeInTheQueue) {
  ask();
  ASSERT_TRUE(pod_hears("\r\n\r\n"));
  at_pod_.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine");
  ASSERT_TRUE(client_hears("fine"));
  ASSERT_TRUE(turn_until([&] { return has(near_.logged(), "}\n"); })) << near_.logged();
  EXPECT_TRUE(has(near_.logged(), R"("Replica":"pod:1")")) << near_.logged();
  EXPECT_TRUE(has(near_.logged(), R"("QueueDurationMs":0.000)")) << near_.logged();
  EXPECT_EQ(far_.logged(), "") << "one line in the fleet";
}

TEST_F(SentOn, TheConnectionsAreUsedAgain) {
  for (int times = 1; times <= 3; ++times) {
    pod_heard_.clear();
    client_heard_.clear();
    ask("Content-Length: 3\r\n", "abc");
    ASSERT_TRUE(pod_hears("abc"));
    at_pod_.send("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy");
    ASSERT_TRUE(client_hears("busy"));
    shard_.advance(20ms);
  }
  EXPECT_EQ(connections_, 1) << "whatever the pod answers";
}

TEST_F(SentOn, InterimAnswersAndTrailersPass) {
  ask("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n");
  ASSERT_TRUE(pod_hears("x-sum: 1\r\n\r\n"));
  at_pod_.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
  ASSERT_TRUE(client_hears("Link: </a>\r\n"));
  at_pod_.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfine\r\n0\r\nx-end: 2\r\n\r\n");
  ASSERT_TRUE(client_hears("x-end: 2\r\n\r\n"));
}

TEST_F(SentOn, StreamsPassBothWaysPieceByPiece) {
  ask("Content-Length: 200000\r\n", std::string(100'000, 'a'));
  ASSERT_TRUE(turn_until([&] { return pod_heard_.size() > 100'000; }));
  at_pod_.send("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nfirst ");
  ASSERT_TRUE(client_hears("first ")) << "before the request is complete";
  client_.send(std::string(100'000, 'b'));
  ASSERT_TRUE(turn_until([&] { return pod_heard_.size() > 200'000; }));
  at_pod_.send("second");
  ASSERT_TRUE(client_hears("second"));
}

TEST_F(SentOn, AClientThatWaitsForItIsToldToSendItsBody) {
  ask("Content-Length: 100000\r\nExpect: 100-continue\r\n");
  ASSERT_TRUE(client_hears("HTTP/1.1 100 Continue\r\n\r\n"));
  client_.send(std::string(100'000, 'a'));
  ASSERT_TRUE(turn_until([&] { return pod_heard_.size() > 100'000; }));
  at_pod_.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine");
  ASSERT_TRUE(client_hears("fine"));
}

TEST_F(SentOn, AClientThatLeavesIsSeenAtThePod) {
  ask();
  ASSERT_TRUE(pod_hears("\r\n\r\n"));
  client_.close();
  EXPECT_TRUE(turn_until([&] { return at_pod_.at_end(); }));
}

TEST_F(SentOn, WhatWaitsAtAHomeThatIsAnotherNowComesToIt) {
  far_.home().set(NamespaceHome::kNobody);
  ask("Content-Length: 3\r\n", "abc");
  EXPECT_TRUE(turn_until([&] { return connections_ == 1; }));
  shard_.advance(50ms);
  far_.home().set(NamespaceHome::kHere);
  for (int steps = 0; steps < 4; ++steps) {
    turn_until([] { return true; });
    shard_.advance(50ms);
  }
  ASSERT_TRUE(pod_hears("abc"));
  at_pod_.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine");
  ASSERT_TRUE(client_hears("fine"));
}

TEST_F(SentOn, AHomeThatGoesBeforeThePodIsReachedLosesNothing) {
  ask("Content-Length: 3\r\n", "abc");
  test::Descriptor lost;  // the first home accepts, and ends in order without a word
  ASSERT_TRUE(test::turn_until(shard_, [&] { return static_cast<bool>(lost = fleet_port_.accept()); }));
  ASSERT_TRUE(test::turn_until(shard_, [&] { return has(lost.received(), "abc"); }));
  lost.close();
  ASSERT_TRUE(pod_hears("abc"));
  at_pod_.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine");
  ASSERT_TRUE(client_hears("fine"));
}

TEST_F(SentOn, AHomeThatIsResetBeforeThePodIsReachedMayHaveReachedIt) {
  ask("Content-Length: 3\r\n", "abc");
  test::Descriptor lost;
  ASSERT_TRUE(test::turn_until(shard_, [&] { return static_cast<bool>(lost = fleet_port_.accept()); }));
  shard_.poll();
  const linger now{1, 0};
  ::setsockopt(lost.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  lost.close();
  ASSERT_TRUE(client_hears("upstream_reset"));
  EXPECT_TRUE(client_heard_.starts_with("HTTP/1.1 502 ")) << client_heard_;
}

TEST_F(SentOn, WhatHasArrivedWhenTheDrainClosesIdleConnectionsIsAnsweredAndTheShardGoesOn) {
  const test::Descriptor member = test::connect_to(fleet_port_.address());
  ASSERT_TRUE(turn_until([&] { return far_.server().connections() == 1; }));
  shard_.poll();
  member.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  far_.server().close_idle();  // before the poller has seen it
  std::string heard;
  EXPECT_TRUE(turn_until([&] { return has(heard += member.received(), "x-ir-reason: bad_request\r\n"); })) << heard;
}

}  // namespace
}  // namespace router::proxy

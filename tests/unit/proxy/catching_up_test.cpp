#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "router/metrics/registry.h"
#include "router/proxy/server.h"
#include "router/upstream/replica.h"
#include "tests/support/loopback.h"
#include "tests/support/run_on.h"
#include "tests/support/test_shard.h"

namespace router::proxy {
namespace {

using namespace std::chrono_literals;
using runtime::Address;
using test::connect_to;
using test::Descriptor;
using test::turn_until;

constexpr const char* kRequest =
    "POST /api/v1/endpoint/iris/score HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer key\r\nContent-Length: 1\r\n\r\nx";

/// One shard with its thread; the test's own thread is control. The only replica of the queue belongs to generation 2, while
/// the shard still has the view of generation 1.
class CatchingUpTest : public ::testing::Test {
 protected:
  explicit CatchingUpTest(const Clock& time) : clock(time) {}
  void begin(Duration queue_wait) {
    queue_wait_max = queue_wait;
    queue->set_replicas({replica});
    queue->set_ready(replica, true);
    publish(1);
    shards.start();
    runtime::ListeningSocket socket(std::move(runtime::listen_on("127.0.0.1", 0, 1)->front()));
    const Address address = *Address::parse("127.0.0.1", socket.port());
    on_shard([&] { server.open_listener(1, std::move(socket)); });
    client = connect_to(address);
    client.send(kRequest);
    ASSERT_TRUE(turn_until(control, [this] { return queue->demand().slots_in_use == 1; })) << "the exchange holds the slot";
  }
  ~CatchingUpTest() override {
    client.close();
    on_shard([this] {
      server.close_listeners();
      server.close_idle();
      server.end_grace();
    });
    EXPECT_TRUE(turn_until(control, [this] {
      std::size_t connections = 0;
      on_shard([&] { connections = server.connections(); });
      return connections == 0;
    }));
    shards.join();
    queue->set_replicas({});
    queue->close();
  }

  void publish(std::uint64_t generation) {
    auto deployment = std::make_unique<model::Deployment>();
    deployment->name = "blue";
    deployment->score_path = "/score";
    deployment->request_timeout = deployment->connect_timeout = deployment->stream_idle_timeout = 10s;
    deployment->upload_timeout = 10s;
    deployment->queue_wait_max = queue_wait_max;
    deployment->request_bytes_max = 1000;
    deployment->queue = queue;
    deployment->metrics = metrics.deployment("iris", "blue");
    auto endpoint = std::make_unique<model::Endpoint>();
    endpoint->name = "iris";
    endpoint->keys.push_back({"key"});
    endpoint->metrics = metrics.deployment("iris", "");
    endpoint->traffic.push_back({100, deployment.get()});
    endpoint->deployments.push_back(std::move(deployment));
    auto view = std::make_shared<View>();
    view->generation = view->table.generation = generation;
    view->listeners[1] = {};
    view->table.metrics = metrics.deployment("", "");
    view->table.by_name.emplace("iris", endpoint.get());
    view->table.endpoints.push_back(std::move(endpoint));
    views.publish(view);
  }
  void on_shard(const std::function<void()>& work) { test::run_on(shards[0], work); }
  bool slot_comes_back() {
    return turn_until(control, [this] { return queue->demand().slots_in_use == 0; });
  }
  /// Reads the answer up to the end of its head.
  std::string answer() {
    std::string all;
    EXPECT_TRUE(turn_until(control, [&] { return (all += client.received()).find("\r\n\r\n") != std::string::npos; }));
    return all;
  }

  const Clock& clock;
  test::TestShard control;
  runtime::ShardSet shards{1, clock};
  metrics::Registry metrics{1};
  Views views{control, shards};
  ConnectionLimits connection_limits;
  ShardServer server{shards[0], views, metrics.shard(0), shards.size(), connection_limits};
  test::LoopbackListener pod;
  const std::shared_ptr<upstream::Replica> replica =
      std::make_shared<upstream::Replica>(upstream::ReplicaOptions{.name = "pod:1",
                                                                   .slots = 1,
                                                                   .host = "pod",
                                                                   .address = pod.address(),
                                                                   .transport = nullptr,
                                                                   .pod = std::make_shared<dispatch::PodSlots>(1),
                                                                   .generation = 2});
  const std::shared_ptr<dispatch::RequestQueue> queue =
      std::make_shared<dispatch::RequestQueue>(dispatch::QueueOptions{}, clock);
  Duration queue_wait_max{};
  Descriptor client;
};

const SteadyClock kClock;
const ManualClock kStandsStill;

struct CatchingUp : CatchingUpTest {
  CatchingUp() : CatchingUpTest(kClock) {}
};
/// The clock stands still, so no timer expires.
struct CatchingUpWithoutTime : CatchingUpTest {
  CatchingUpWithoutTime() : CatchingUpTest(kStandsStill) {}
};

TEST_F(CatchingUpWithoutTime, GoesOnWhenTheViewOfItsReplicaArrives) {
  begin(10s);
  EXPECT_FALSE(pod.accept()) << "the exchange does not connect under the older view";
  publish(2);
  Descriptor connection;
  ASSERT_TRUE(turn_until(control, [&] { return static_cast<bool>(connection = pod.accept()); }));
  std::string request;
  ASSERT_TRUE(turn_until(control, [&] { return (request += connection.received()).ends_with("\r\n\r\nx"); }));
  connection.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_NE(answer().find("HTTP/1.1 200"), std::string::npos);
}

TEST_F(CatchingUpWithoutTime, WaitsOnWhenAViewArrivesThatIsTooOld) {
  begin(10s);
  publish(1);
  on_shard([] {});
  EXPECT_EQ(queue->demand().slots_in_use, 1u);
  EXPECT_FALSE(pod.accept());
  publish(2);
  Descriptor connection;
  EXPECT_TRUE(turn_until(control, [&] { return static_cast<bool>(connection = pod.accept()); }));
}

TEST_F(CatchingUp, GivesItsSlotBackWhenTheClientLeaves) {
  begin(60s);
  client.close();
  EXPECT_TRUE(slot_comes_back());
}

TEST_F(CatchingUp, GivesItsSlotBackWhenItsTimeIsOver) {
  begin(200ms);
  EXPECT_TRUE(slot_comes_back());
  EXPECT_NE(answer().find("x-router-reason: queue_timeout"), std::string::npos);
}

TEST_F(CatchingUp, GivesItsSlotBackWhenTheDrainEndsTheQueue) {
  begin(60s);
  on_shard([this] { server.refuse_waiters(); });
  EXPECT_TRUE(slot_comes_back());
  EXPECT_NE(answer().find("x-router-reason: draining"), std::string::npos);
}

}  // namespace
}  // namespace router::proxy

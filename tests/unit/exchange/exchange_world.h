#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "router/metrics/registry.h"
#include "router/proxy/exchange.h"
#include "router/proxy/server.h"
#include "router/upstream/replica.h"
#include "tests/support/test_shard.h"
#include "tests/unit/exchange/scripted_client.h"
#include "tests/unit/exchange/scripted_pods.h"

namespace router::test {

using namespace std::chrono_literals;

/// One request and its client.
struct Asking {
  Asking(runtime::Shard& shard, std::string head) : wakeup(shard), client(wakeup, std::move(head)) {}

  runtime::Wakeup wakeup;
  ScriptedClient client;
  bool begun = false;     // the exchange has begun
  bool over = false;      // the exchange has ended, in whatever way
  bool thrown = false;    // the exchange ended with an exception
  bool released = false;  // see `hold`
};

/// A replica of the only shard. `generation`: the first configuration that contains it.
std::shared_ptr<upstream::Replica> make_replica(const std::string& name, std::size_t slots, std::uint64_t generation);

/// The exchanges of the router between clients and pods that a test moves. Endpoint `iris` has the deployment `blue` with a
/// queue and replicas, and perhaps `shadow`, which gets copies. One shard whose clock the test moves; no socket, no thread.
class ExchangeWorld {
 public:
  ExchangeWorld();
  ExchangeWorld(const ExchangeWorld&) = delete;
  ExchangeWorld& operator=(const ExchangeWorld&) = delete;
  ~ExchangeWorld();

  TestShard shard;
  ScriptedPods pods{shard};
  metrics::ShardCells shard_cells;
  metrics::Registry metrics{1};

  /// The next `publish` reads the settings. A replica is there and ready from `add_replica` on.
  model::Deployment blue;
  model::Deployment shadow;
  config::Limits limits;
  config::StatusProfile status_profile = config::StatusProfile::kKubernetes;
  int mirror_percent = 0;
  http::Via via;
  std::shared_ptr<const upstream::Peers> peers;
  std::string key = "key";  // the key of the endpoint; clients always send "key"
  void publish(std::uint64_t generation = 1);
  std::shared_ptr<upstream::Replica> add_replica(const std::string& name, std::size_t slots = 1, std::uint64_t generation = 1);
  std::shared_ptr<upstream::Replica> add_shadow(std::size_t slots = 1);

  /// Begins a request: a scoring POST with these further fields. `body` is the part of the body that comes with the head.
  Asking& ask(std::string_view fields = "", std::string_view body = "");
  Asking& ask_whole(std::string head);
  /// Begins a request whose head could not be read.
  Asking& refuse_head(Failure failure);
  /// The head of such a request.
  static std::string head(std::string_view fields = "");
  /// Like `ask`, but nothing runs before `go`.
  Asking& hold(std::string_view fields = "", std::string_view body = "");
  void go(Asking& asking);
  /// Begins a request that gets the first slot and holds it until its pod answers.
  Asking& occupy();

  void advance(Duration by) { shard.advance(by); }
  void poll() { shard.poll(); }

  std::size_t slots_in_use() const { return blue.queue->demand().slots_in_use; }
  std::size_t waiting() const { return blue.queue->demand().waiting; }
  /// Number of exchanges that were accounted for: with this reason and status, and in total.
  std::uint64_t told(Reason reason, int status) const;
  std::uint64_t told() const;
  const metrics::DeploymentCells& cells() const { return blue.metrics->cells()[0]; }
  std::uint64_t mirrored(metrics::MirrorResult result) const {
    return shard_cells.mirrored[static_cast<std::size_t>(result)].value();
  }
  std::uint64_t mirrored() const;
  /// Tests see the queue's count of failures in a row by its effect: the fifth failure ejects the replica.
  std::size_t ejected() const { return blue.queue->demand().replicas_ejected; }
  /// All clients leave, all pods close, and time passes. Every exchange must end.
  void end_everything();

  runtime::Shard control{0, shard.clock(), runtime::Shard::Time::kManual};
  runtime::ShardSet shards{1, shard.clock()};
  proxy::Views views{control, shards};
  proxy::ConnectionLimits connection_limits;
  proxy::ShardServer server{shard, views, shard_cells, 1, connection_limits};

 private:
  Task<bool> run(Asking& asking);
  Task<bool> run_refusal(Asking& asking, Failure failure);
  Asking& begin(std::string head, std::string_view body, bool at_once);

  std::vector<std::shared_ptr<dispatch::Replica>> replicas_;
  std::vector<std::shared_ptr<dispatch::Replica>> shadows_;
  std::vector<std::unique_ptr<Asking>> asking_;
};

/// One published world for each test, with one replica of one slot.
class ExchangeTest : public ::testing::Test {
 public:
  ~ExchangeTest() override {
    world.end_everything();
    EXPECT_EQ(world.slots_in_use(), 0u);
    EXPECT_EQ(world.waiting(), 0u);
    EXPECT_EQ(world.pods.in_use, 0);
  }

 protected:
  ExchangeTest() {
    world.add_replica("a");
    world.publish();
  }
  PodConnection& pod() { return world.pods.last(); }
  /// The exchange ends when `time` has passed, and not 1 ms earlier.
  ::testing::AssertionResult ends_after(Asking& asking, Duration time) {
    world.advance(time - 1ms);
    if (asking.over) return ::testing::AssertionFailure() << "it ended too early";
    world.advance(1ms);
    if (!asking.over) return ::testing::AssertionFailure() << "it has not ended";
    return ::testing::AssertionSuccess();
  }
  /// The exchange was refused with this reason, and accounted for once.
  ::testing::AssertionResult refused(const Asking& asking, Reason reason, int status) {
    if (!asking.over) return ::testing::AssertionFailure() << "it has not ended";
    if (asking.client.status != status || asking.client.reason != name_of(reason)) {
      return ::testing::AssertionFailure() << asking.client.status << ' ' << asking.client.reason;
    }
    if (world.told(reason, status) != 1)
      return ::testing::AssertionFailure() << "accounted for " << world.told(reason, status) << " times";
    return ::testing::AssertionSuccess();
  }

  ExchangeWorld world;
};

}  // namespace router::test

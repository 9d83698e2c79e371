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
  bool begun = false;     // the exchange
  bool over = false;      // it has ended, in whatever way
  bool thrown = false;    // by an exception
  bool released = false;  // see `hold`
};

/// The router between one client's exchanges and pods that a test moves: endpoint `iris`, its deployment `blue` with a queue
/// and replicas of its own, perhaps one that gets copies, `shadow`. One shard whose clock the test moves; no socket, no thread.
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

  /// Settings are read by the next `publish`; replicas are there and ready from `add_replica` on.
  model::Deployment blue;
  model::Deployment shadow;
  config::Limits limits;
  config::StatusProfile status_profile = config::StatusProfile::kKubernetes;
  int mirror_percent = 0;
  http::Via via;
  std::string key = "key";  // the endpoint's; clients always have this one
  void publish(std::uint64_t generation = 1);
  std::shared_ptr<upstream::Replica> add_replica(const std::string& name, std::size_t slots = 1, std::uint64_t generation = 1);
  std::shared_ptr<upstream::Replica> add_shadow(std::size_t slots = 1);

  /// A request begins: a scoring POST with these further fields and this body, as much of it as has come with the head.
  Asking& ask(std::string_view fields = "", std::string_view body = "");
  Asking& ask_whole(std::string head);
  /// One whose head could not be read.
  Asking& refuse_head(Failure failure);
  /// The same as `ask`, but nothing runs before `go`.
  Asking& hold(std::string_view fields = "", std::string_view body = "");
  void go(Asking& asking);
  /// A request that has the first slot, and keeps it until its pod answers.
  Asking& occupy();

  void advance(Duration by) { shard.advance(by); }
  void poll() { shard.poll(); }

  std::size_t slots_in_use() const { return blue.queue->demand().slots_in_use; }
  std::size_t waiting() const { return blue.queue->demand().waiting; }
  /// Exchanges that the account was told of: with that reason and status; and all of them.
  std::uint64_t told(Reason reason, int status) const;
  std::uint64_t told() const;
  const metrics::DeploymentCells& cells() const { return blue.metrics->cells()[0]; }
  std::uint64_t mirrored(metrics::MirrorResult result) const {
    return shard_cells.mirrored[static_cast<std::size_t>(result)].value();
  }
  std::uint64_t mirrored() const;
  /// Failures in a row that the queue counts against a replica are seen by their end: the fifth ejects it.
  std::size_t ejected() const { return blue.queue->demand().replicas_ejected; }
  /// All clients go, all pods close, and time passes: whatever still runs ends.
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

/// One world for each test, with one replica of one slot, published.
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
  /// Not yet a moment before `time` has passed, but then.
  ::testing::AssertionResult ends_after(Asking& asking, Duration time) {
    world.advance(time - 1ms);
    if (asking.over) return ::testing::AssertionFailure() << "it ended too early";
    world.advance(1ms);
    if (!asking.over) return ::testing::AssertionFailure() << "it has not ended";
    return ::testing::AssertionSuccess();
  }
  /// It was refused with that reason, once.
  ::testing::AssertionResult refused(const Asking& asking, Reason reason, int status) {
    if (!asking.over) return ::testing::AssertionFailure() << "it has not ended";
    if (asking.client.status != status || asking.client.reason != name_of(reason)) {
      return ::testing::AssertionFailure() << asking.client.status << ' ' << asking.client.reason;
    }
    if (world.told(reason, status) != 1)
      return ::testing::AssertionFailure() << "told " << world.told(reason, status) << " times";
    return ::testing::AssertionSuccess();
  }

  ExchangeWorld world;
};

}  // namespace router::test

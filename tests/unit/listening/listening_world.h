#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "router/listening/listeners.h"
#include "router/proxy/connection_limits.h"
#include "router/proxy/server.h"
#include "tests/support/loopback.h"
#include "tests/support/run_on.h"
#include "tests/support/test_shard.h"

namespace router::listening {

using test::connect_to;
using test::Descriptor;

/// One shard with its thread; the test's own thread is control.
class ListeningWorld : public ::testing::Test {
 protected:
  ListeningWorld() {
    servers.push_back(std::make_unique<proxy::ShardServer>(shards[0], views, metrics.shard(0), 1, limits));
    servers.front()->set_siblings(servers);
    shards.start();
  }
  ~ListeningWorld() override {
    on_shard([this] {
      servers.front()->close_listeners();
      servers.front()->close_idle();
      servers.front()->end_grace();
    });
    turn();
    shards.join();
    shards.close();
    servers.clear();
    views.clear();
    control.poll();
  }
  void on_shard(const std::function<void()>& work) { test::run_on(shards[0], work); }
  /// Waits until the shard has run the messages that were sent to it, and control has run the answers.
  void turn() {
    for (int turns = 0; turns < 3; ++turns) {
      on_shard([] {});
      control.poll();
    }
  }
  static std::vector<config::Listener> on(const std::vector<std::uint16_t>& ports) {
    std::vector<config::Listener> wanted;
    for (const std::uint16_t port : ports) {
      config::Listener& each = wanted.emplace_back();
      each.address = "127.0.0.1";
      each.port = port;
    }
    return wanted;
  }
  /// A free port. Another process might take it before the test uses it.
  static std::uint16_t free_port() { return test::LoopbackListener().address().port(); }
  static runtime::Address address(std::uint16_t port) { return *runtime::Address::parse("127.0.0.1", port); }
  bool is_open(std::uint16_t port) const { return static_cast<bool>(connect_to(address(port))); }

  /// Changes the listeners as a publication does.
  Listeners::Change change(const std::vector<config::Listener>& wanted, config::Findings& findings) {
    Listeners::Change next = listeners.prepare(wanted, listeners.given_up(wanted), findings);
    if (findings.has_mistakes()) return next;
    auto view = std::make_shared<proxy::View>();
    view->table.metrics = metrics.deployment("", "");
    for (const Listeners::Change::Listener& each : next.listeners) view->listeners[each.id] = {};
    listeners.close_removed(next);
    views.publish(std::move(view));
    listeners.open_added(next);
    turn();
    return next;
  }
  std::vector<proxy::ListenerId> ids(const std::vector<config::Listener>& wanted) {
    config::Findings findings;
    std::vector<proxy::ListenerId> all;
    for (const Listeners::Change::Listener& each : change(wanted, findings).listeners) all.push_back(each.id);
    EXPECT_FALSE(findings.has_mistakes()) << findings.mistakes();
    return all;
  }

  test::TestShard control;
  SteadyClock clock;
  runtime::ShardSet shards{1, clock};
  metrics::Registry metrics{1, clock};
  proxy::Views views{control, shards};
  proxy::ConnectionLimits limits;
  std::vector<std::unique_ptr<proxy::ShardServer>> servers;
  Listeners listeners{control, shards, servers, {}};
};

}  // namespace router::listening

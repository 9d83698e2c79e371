#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <map>
#include <memory>
#include <new>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "router/proxy/connection_limits.h"
#include "router/proxy/server.h"
#include "router/serving/publication.h"
#include "tests/support/failing_memory.h"
#include "tests/support/test_shard.h"

namespace router::serving {

/// The parts of a process that publish, moved by the test: one shard without a thread, and real sockets.
class PublicationWorld : public ::testing::Test {
 protected:
  PublicationWorld() {
    servers.push_back(std::make_unique<proxy::ShardServer>(shards[0], views, metrics.shard(0), 1, limits));
    servers.front()->set_siblings(servers);
  }
  ~PublicationWorld() override {
    operators.stop();
    live.stop();
    turn();
    EXPECT_TRUE(control.run(live.stopped(control.now())));
    shards.close();
    servers.clear();
    views.clear();
    control.poll();
    std::filesystem::remove_all(folder);
  }

  static std::string make_folder() {
    char path[] = "/tmp/publication-XXXXXX";
    return ::mkdtemp(path);
  }
  config::Config settings(const std::vector<std::string>& names) const {
    config::Config config;
    config.process.threads = 1;
    config.process.listeners.resize(1);
    config.process.listeners.front().address = "127.0.0.1";
    config.process.listeners.front().port = 0;
    config.process.observe_address = "unix:" + folder + "/observe";
    config.process.admin_address = "unix:" + folder + "/admin";
    for (const std::string& name : names) add_deployment(config.endpoints.emplace_back(), name);
    return config;
  }
  static void add_deployment(config::Endpoint& endpoint, const std::string& name) {
    endpoint.name = name;
    config::Deployment& deployment = endpoint.deployments.emplace_back();
    deployment.endpoint_name = name;
    deployment.name = "blue";
    deployment.replicas.push_back({"127.0.0.1", 1});
    endpoint.traffic["blue"] = 100;
  }
  /// Reads the material of TLS as a reload does.
  Publication::Sources files(config::Config config) {
    config::Findings findings;
    std::vector<const config::Deployment*> deployments;
    for (const config::Endpoint& endpoint : config.endpoints) {
      for (const config::Deployment& each : endpoint.deployments) deployments.push_back(&each);
    }
    TlsMaterial tls =
        read_tls(config.process, deployments, publication.tls_in_force(), {ReadingFor::kReload, 1, ticket_keys}, findings);
    EXPECT_FALSE(findings.has_mistakes()) << findings.mistakes();
    return {.files = std::move(config), .tls = std::move(tls)};
  }
  void turn() {
    for (int turns = 0; turns < 3; ++turns) {
      test::poll(shards[0]);
      control.poll();
    }
  }
  /// Everything that a publication may change, as one text.
  virtual std::string in_force() const {
    std::string text = "generation " + std::to_string(publication.generation());
    const std::shared_ptr<const proxy::View>& view = views.newest();
    text += "\nview " + std::to_string(reinterpret_cast<std::uintptr_t>(view.get())) + "\nfiles";
    for (const config::Endpoint& each : publication.files().endpoints) text += " " + each.name + keys_of(each);
    text += "\nmerged";
    for (const config::Endpoint& each : publication.config().endpoints) text += " " + each.name + keys_of(each);
    text += "\nlive";
    for (const auto& [key, each] : live.all()) {
      text += " " + key + "@" + std::to_string(reinterpret_cast<std::uintptr_t>(each->queue.get()));
      for (const auto& [name, replica] : each->replicas) text += "," + name;
    }
    text += "\naccess log " + std::to_string(reinterpret_cast<std::uintptr_t>(access_logs.current().get()));
    text += std::string("\nlisteners ") + (listeners.would_change(publication.files().process.listeners) ? "others" : "its");
    return text + "\nports " + std::to_string(listeners.given_up({}).size()) + "\ndescriptors " + std::to_string(descriptors());
  }
  /// Publishes what `next` returns, again and again, each time with another allocation that fails, until none fails.
  /// `is_in_force` returns whether the last sources are in force.
  template <class Next, class InForce>
  void fail_each_allocation(Next next, InForce is_in_force) {
    std::size_t refused = 0;
    std::size_t survived = 0;
    for (std::size_t served = 0;; ++served) {
      Publication::Sources sources = next();
      const std::string before = in_force();
      bool threw = false;
      std::size_t failed = 0;
      {
        const test::FailingMemory memory(served, 1);
        try {
          publication.publish(std::move(sources)).IgnoreError();
        } catch (const std::bad_alloc&) {
          threw = true;
        }
        failed = memory.failed();
      }
      turn();
      if (threw) {
        ASSERT_EQ(in_force(), before) << "after " << served << " allocations";
        ++refused;
      } else {
        ASSERT_TRUE(is_in_force()) << "after " << served << " allocations";
        if (failed == 0) break;
        ++survived;
      }
    }
    EXPECT_GT(refused, 10u);
    EXPECT_GT(survived, 0u) << "steps that cannot be undone were repeated";
  }
  static std::string keys_of(const config::Endpoint& endpoint) { return "(" + std::to_string(endpoint.keys.size()) + ")"; }
  static std::size_t descriptors() {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
    return count;
  }
  /// Names of the endpoints that an exchange finds.
  std::set<std::string> routed() const {
    std::set<std::string> names;
    for (const auto& [name, endpoint] : views.newest()->table.by_name) names.insert(std::string(name));
    return names;
  }

  const std::string folder = make_folder();
  bool draining = false;
  test::TestShard control;
  runtime::ShardSet shards{1, control.clock()};
  metrics::Registry metrics{1, control.clock()};
  runtime::Resolver resolver{control};
  proxy::Views views{control, shards};
  LiveDeployments live{control, shards, metrics, resolver};
  std::shared_ptr<tls::TicketKeys> ticket_keys = tls::TicketKeys::make({}).value();
  proxy::ConnectionLimits limits;
  std::vector<std::unique_ptr<proxy::ShardServer>> servers;
  AccessLogs access_logs;
  listening::Listeners listeners{control, shards, servers, {}};
  listening::Operators operators{control, [] { return std::vector<admin::OperatorRoute>(); },
                                 [] { return std::vector<admin::OperatorRoute>(); }};
  Publication publication{{.views = views,
                           .live = live,
                           .metrics = metrics,
                           .listeners = listeners,
                           .operators = operators,
                           .access_logs = access_logs,
                           .ticket_keys = *ticket_keys,
                           .shards = 1,
                           .draining = [this] { return draining; }},
                          settings({"iris"})};
};

}  // namespace router::serving

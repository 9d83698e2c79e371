#pragma once

#include <absl/status/status.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "config/config.h"
#include "router/admin/operator_server.h"
#include "router/build_view.h"
#include "router/discovery/file_watch.h"
#include "router/drain.h"
#include "router/live_deployments.h"
#include "router/metrics/registry.h"
#include "router/proxy/server.h"
#include "router/proxy/view.h"
#include "router/runtime/accept.h"
#include "router/runtime/line_writer.h"
#include "router/runtime/resolver.h"
#include "router/runtime/shard_set.h"
#include "router/runtime/signals.h"
#include "tls/context.h"

#ifndef ROUTER_VERSION
#define ROUTER_VERSION "unknown"
#endif

namespace router {

/// The whole process: built from a configuration, run until it is drained. The one place where the parts meet.
class Router {
 public:
  Router(std::string config_file, config::Config config);
  ~Router();

  /// Everything about a configuration that can be wrong beyond its text: certificates, keys of tickets, trust stores. Opens no
  /// socket.
  static absl::Status check(const config::Config& config);

  /// Starts, serves, drains. The process's exit code: 0 after a drain, 1 if it could not start.
  int run();

 private:
  absl::Status start();
  absl::Status open_listeners();
  absl::Status open_operator_listeners();
  /// Reads everything again and publishes it, or keeps what is. Any mistake leaves the old state.
  /// `files` becomes what the configuration read, or failed to read, came from.
  absl::Status reload(std::vector<std::string>& files);
  absl::Status adopt(config::Config config);
  absl::Status reload_and_report();
  void watch_files();
  /// Session tickets get a new key every hour; the two before it are still accepted.
  void rotate_ticket_keys();
  std::vector<std::string> not_ready() const;
  metrics::ProcessFigures figures() const;
  /// After the drain: ends what is left, part by part, and then the control loop.
  void finish();
  void end_when_stopped();

  const std::string config_file_;
  config::Config config_;
  SteadyClock clock_;
  runtime::Shard control_;
  runtime::ShardSet shards_;
  metrics::Registry metrics_;
  std::unique_ptr<runtime::LineWriter> access_log_;
  runtime::Resolver resolver_;
  proxy::Views views_;
  LiveDeployments live_;
  std::shared_ptr<tls::TicketKeys> ticket_keys_;
  std::atomic<std::size_t> connections_open_{0};
  std::vector<std::unique_ptr<proxy::ShardServer>> servers_;
  std::vector<std::vector<std::unique_ptr<runtime::Acceptor>>> acceptors_;  // by shard, then by listener
  std::unique_ptr<admin::OperatorServer> observe_;
  std::unique_ptr<admin::OperatorServer> admin_;
  std::unique_ptr<discovery::FileWatch> watch_;
  std::unique_ptr<runtime::Signals> signals_;
  std::unique_ptr<Drain> drain_;
  class Rotation final : public runtime::Timer {
   public:
    explicit Rotation(Router& owner) : owner_(owner) {}

   private:
    void expired() override { owner_.rotate_ticket_keys(); }
    Router& owner_;
  };
  Rotation rotation_{*this};
  std::uint64_t generation_ = 0;
};

}  // namespace router

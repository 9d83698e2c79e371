#pragma once

#include <absl/status/status.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "config/findings.h"
#include "config/load.h"
#include "router/base/log.h"
#include "router/discovery/file_watch.h"
#include "router/listening/drain.h"
#include "router/listening/listeners.h"
#include "router/listening/operators.h"
#include "router/metrics/process_usage.h"
#include "router/metrics/registry.h"
#include "router/proxy/connection_limits.h"
#include "router/proxy/server.h"
#include "router/proxy/view.h"
#include "router/runtime/inherited_sockets.h"
#include "router/runtime/pulse.h"
#include "router/runtime/resolver.h"
#include "router/runtime/service_manager.h"
#include "router/runtime/shard_set.h"
#include "router/runtime/signals.h"
#include "router/serving/access_logs.h"
#include "router/serving/cluster_source.h"
#include "router/serving/live_deployments.h"
#include "router/serving/publication.h"
#include "router/serving/tls_material.h"
#include "router/serving/unnoticed_aborts.h"
#include "tls/context.h"

#ifndef ROUTER_VERSION
#define ROUTER_VERSION "unknown"
#endif

namespace router::root {

/// The whole process: built from a configuration, run until it is drained. The one place where the parts meet.
class Router {
 public:
  /// `sockets`: what the process was started with, for listeners of these addresses. `manager`: who is told how it goes.
  Router(std::string config_file, config::Config config, runtime::InheritedSockets sockets = {},
         runtime::ServiceManager manager = {});
  ~Router();

  /// For config::load: everything about a configuration that can be wrong beyond its text and without opening a socket:
  /// certificates, keys of tickets, trust stores.
  static config::Examine examine(serving::ReadingFor what_for);

  /// Starts, serves, drains. The process's exit code: 0 after a drain, 1 if it could not start.
  int run();

 private:
  absl::Status start();
  /// The API server that `kubernetes` names, if it does: its credentials must be readable.
  absl::Status make_cluster();
  /// Reads everything again and publishes it, or keeps what is. Any mistake leaves the old state.
  /// `files` becomes what the configuration read, or failed to read, came from.
  absl::Status reload(std::vector<std::string>& files);
  /// The key files of what is in force act although a change was refused: a key that is revoked opens nothing.
  void take_up_keys();
  /// What the API server tells has changed: a new table, and nothing else.
  void publish_resources();
  /// Tells the service manager before and after.
  absl::Status reload_and_report();
  absl::Status reload_or_keep();
  void begin_drain();
  void watch_files();
  /// When what could not be used is tried again, after the configuration was read.
  void schedule_again(bool accepted);
  /// A file that could not be used may be fine without having changed: it lies on another machine, or its folder was closed.
  void retry_refused_files();
  /// Whether the name of an operators' listener is known by now: then the configuration is read again, which opens it.
  void look_up_operators();
  /// Session tickets get a new key every hour; the two before it are still accepted.
  void rotate_ticket_keys();
  std::vector<admin::OperatorRoute> observe_routes();
  std::vector<admin::OperatorRoute> admin_routes();
  std::vector<std::string> not_ready() const;
  /// Why `/healthz` fails.
  std::vector<std::string> hanging() const;
  /// After the drain: ends what is left, part by part, and then the control loop.
  void finish();
  Task<bool> control_has_ended(Deadline deadline);
  Task<void> end_in_order();

  const std::string config_file_;
  const runtime::ServiceManager manager_;
  SteadyClock clock_;
  runtime::Shard control_;
  runtime::ShardSet shards_;
  metrics::Registry metrics_;
  serving::AccessLogs access_logs_;
  runtime::Resolver resolver_;
  proxy::Views views_;
  serving::LiveDeployments live_;
  std::unique_ptr<serving::ClusterSource> cluster_;  // nullptr: files only
  std::shared_ptr<tls::TicketKeys> ticket_keys_;
  proxy::ConnectionLimits connection_limits_;
  std::vector<std::unique_ptr<proxy::ShardServer>> servers_;
  listening::Listeners listeners_;
  listening::Operators operators_;
  serving::Publication publication_;
  std::unique_ptr<discovery::FileWatch> watch_;
  std::unique_ptr<runtime::Signals> signals_;
  std::unique_ptr<listening::Drain> drain_;
  runtime::Pulse pulse_;
  runtime::TaskGroup ending_;
  class Rotation final : public runtime::Timer {
   public:
    explicit Rotation(Router& owner) : owner_(owner) {}

   private:
    void expired() override { owner_.rotate_ticket_keys(); }
    Router& owner_;
  };
  Rotation rotation_{*this};
  class Again final : public runtime::Timer {
   public:
    explicit Again(Router& owner) : owner_(owner) {}

   private:
    void expired() override {
      owner_.control_.schedule(*this, kNever);
      static_cast<void>(owner_.reload_and_report());
    }
    Router& owner_;
  };
  Again again_{*this};
  class Retry final : public runtime::Timer {
   public:
    explicit Retry(Router& owner) : owner_(owner) {}

   private:
    void expired() override { owner_.retry_refused_files(); }
    Router& owner_;
  };
  Retry retry_{*this};
  class LookUp final : public runtime::Timer {
   public:
    explicit LookUp(Router& owner) : owner_(owner) {}

   private:
    void expired() override { owner_.look_up_operators(); }
    Router& owner_;
  };
  LookUp look_up_{*this};
  serving::UnnoticedAborts unnoticed_aborts_{control_, live_};
  metrics::ProcessUsageReader usage_;
};

}  // namespace router::root

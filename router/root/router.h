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
#include "router/serving/autoscaler.h"
#include "router/serving/cluster_source.h"
#include "router/serving/fleet_service.h"
#include "router/serving/live_deployments.h"
#include "router/serving/publication.h"
#include "router/serving/tls_material.h"
#include "router/serving/unnoticed_aborts.h"
#include "tls/context.h"

#ifndef ROUTER_VERSION
#define ROUTER_VERSION "unknown"
#endif

namespace router::root {

/// The whole process: built from a configuration, runs until it is drained. All parts are connected here.
class Router {
 public:
  /// `sockets`: those that the process was started with, for listeners of these addresses. `manager`: is notified of start,
  /// reload and drain.
  Router(std::string config_file, config::Config config, runtime::InheritedSockets sockets = {},
         runtime::ServiceManager manager = {});
  ~Router();

  /// For config::load: checks what can be wrong in a configuration beyond its text and without opening a socket: certificates,
  /// ticket keys, trust stores.
  static config::Examine examine(serving::ReadingFor what_for);

  /// Starts, serves, drains. Returns the process's exit code: 0 after a drain, 1 if it could not start.
  int run();

 private:
  absl::Status start();
  /// Opens the port for the other members if there is a section `fleet`.
  absl::Status make_fleet();
  /// Creates the source for the API server if there is a section `kubernetes`. Fails if its credentials cannot be read.
  absl::Status make_cluster();
  void make_autoscaler();
  /// Reads the whole configuration again and publishes it. Any mistake leaves the old state. Sets `files` to all files that the
  /// reading used or tried to use.
  absl::Status reload(std::vector<std::string>& files);
  /// Applies the key files of the configuration in force although a change was refused: a revoked key must open nothing.
  void take_up_keys();
  /// After changes in the API server: publishes a new table, and nothing else.
  void publish_resources();
  /// Notifies the service manager before and after.
  absl::Status reload_and_report();
  absl::Status reload_or_keep();
  void begin_drain();
  void watch_files();
  /// Schedules the next attempt for what could not be used. Call it after the configuration was read.
  void schedule_again(bool accepted);
  /// A refused file may become usable without a change: it lies on another machine, or its folder was not accessible.
  void retry_refused_files();
  /// Looks up the names of operators' listeners that are unknown so far. If one is found, the configuration is read again,
  /// which opens the listener.
  void look_up_operators();
  /// Random ticket keys: adds a new one every hour; the two before it are still accepted. Keys from files do not change.
  void rotate_ticket_keys();
  std::vector<admin::OperatorRoute> observe_routes();
  std::vector<admin::OperatorRoute> admin_routes();
  std::vector<std::string> not_ready() const;
  /// Why `/healthz` fails; empty if it does not.
  std::vector<std::string> hanging() const;
  /// After the drain: stops the remaining parts one by one, and then the control loop.
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
  std::unique_ptr<serving::FleetService> fleet_;     // nullptr: this router counts the slots for itself
  std::unique_ptr<serving::Autoscaler> autoscaler_;  // nullptr: no API server is followed
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

#pragma once

#include <absl/status/status.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "config/findings.h"
#include "router/base/log.h"
#include "router/listening/listeners.h"
#include "router/listening/operators.h"
#include "router/metrics/registry.h"
#include "router/proxy/view.h"
#include "router/serving/access_logs.h"
#include "router/serving/cluster_source.h"
#include "router/serving/live_deployments.h"
#include "router/serving/own_names.h"
#include "router/serving/tls_material.h"

namespace router::serving {

/// The one path from any source of change to a published view (docs/decisions/0064):
///
///     sources -> open -> merge -> apply -> view -> publish
///
/// Everything before `publish` is made beside what is in force, and may fail: then nothing has changed, and what was opened is
/// closed again. `publish` cannot fail. Control thread.
class Publication {
 public:
  /// What is published to, and upon; all of it outlives this.
  struct Parts {
    proxy::Views& views;
    LiveDeployments& live;
    metrics::Registry& metrics;
    listening::Listeners& listeners;
    listening::Operators& operators;
    AccessLogs& access_logs;
    tls::TicketKeys& ticket_keys;
    std::size_t shards;
    std::function<bool()> draining;  // then listeners stay as they are
  };
  /// What a change brings along; what it does not bring is as it is in force. Resources of the API server are always taken as
  /// they are known now.
  struct Sources {
    std::optional<config::Config> files{};  // read, and found good
    std::optional<TlsMaterial> tls{};       // read with the files; then sockets and logs become theirs, too
  };

  /// `first`: the configuration with which the process starts; it is in force once it was published.
  Publication(Parts parts, config::Config first);

  /// From the next `publish` on. `cluster` outlives this.
  void follow(ClusterSource& cluster) { cluster_ = &cluster; }

  /// FailedPrecondition, with what is wrong at which line, if files ask for what cannot be opened, or changed without a
  /// restart: without TLS in `sources` it cannot fail so. Throws std::bad_alloc. In both cases nothing has changed.
  absl::Status publish(Sources sources);

  /// What the files say, and what is in force: with endpoints that are resources.
  const config::Config& files() const { return files_; }
  const config::Config& config() const { return config_; }
  std::uint64_t generation() const { return generation_; }
  const TlsInForce& tls_in_force() const { return tls_in_force_; }
  const RefusedFiles& refused_files() const { return refused_files_; }  // of the configuration in force

 private:
  /// What new files need to have open.
  struct Opened {
    std::optional<log::Target> log;  // none: stays as it is
    AccessLogs::Writer access_log;
    std::string access_log_path;
    listening::Listeners::Change listeners;
    listening::Operators::Change operators;
    std::vector<std::string> warnings;
  };
  /// What is to be in force, as far as it is made.
  struct Next {
    config::Config files;
    std::optional<TlsMaterial> tls;
    Opened opened;  // with `tls`
    OwnIdentity own;
    std::optional<ClusterSource::Change> cluster;
    config::Config merged;
    LiveDeployments::Change live;
  };

  Next take(Sources sources) const;
  /// Sockets and logs. What cannot be had is told to `findings`.
  void open(Next& next, config::Findings& findings);
  /// What needs another process to change, or cannot change now.
  void check_changes(const config::Process& next, config::Findings& findings) const;
  /// Files and resources become one configuration, with what belongs to it.
  LiveDeployments::Sources merge(Next& next);
  proxy::Views::Prepared make_view(Next& next);
  void take_effect(Next& next, proxy::Views::Prepared view) noexcept;

  const Parts parts_;
  const std::string random_via_name_;  // in force where router.yaml names none
  ClusterSource* cluster_ = nullptr;   // nullptr: files only
  config::Config files_;
  config::Config config_;
  OwnIdentity own_;
  Transports file_transports_;
  TlsInForce tls_in_force_;
  RefusedFiles refused_files_;
  std::uint64_t generation_ = 0;
};

}  // namespace router::serving

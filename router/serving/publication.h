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
#include "router/upstream/peers.h"

namespace router::serving {

/// The one path from any source of change to a published view (docs/decisions/0064):
///
///     sources -> open -> merge -> prepare -> view -> publish
///
/// The functions are `take`, `open`, `merge`, `LiveDeployments::prepare`, `make_view` and `take_effect`, which calls the
/// functions named `apply`. Every step before `publish` works beside the state in force and may fail. Then nothing has changed,
/// and what was opened is closed again. The step `publish` cannot fail. Control thread.
class Publication {
 public:
  /// What a publication reads and changes; all of it outlives this.
  struct Parts {
    proxy::Views& views;
    LiveDeployments& live;
    metrics::Registry& metrics;
    listening::Listeners& listeners;
    listening::Operators& operators;
    AccessLogs& access_logs;
    tls::TicketKeys& ticket_keys;
    std::size_t shards;
    std::function<bool()> draining;  // while it returns true, listeners stay as they are
    /// The other members of the fleet; empty: there is no fleet.
    std::function<std::shared_ptr<const upstream::Peers>()> peers{};
  };
  /// What a change brings. What it does not bring stays as it is in force. Resources of the API server are always taken in
  /// their latest known state.
  struct Sources {
    std::optional<config::Config> files{};  // read and checked
    std::optional<TlsMaterial> tls{};       // read with the files; sockets and logs are then replaced, too
  };

  /// `first`: the configuration with which the process starts. The first `publish` puts it in force.
  Publication(Parts parts, config::Config first);

  /// Adds the resources of `cluster`, from the next `publish` on. `cluster` outlives this.
  void follow(ClusterSource& cluster) { cluster_ = &cluster; }

  /// Fails with FailedPrecondition and the mistakes with their lines if the files need something that cannot be opened, or
  /// that cannot change without a restart. Without `sources.tls` it cannot fail so. Throws std::bad_alloc. On failure nothing
  /// has changed.
  absl::Status publish(Sources sources);
  /// Publishes the newest view again, with the peers of now. Throws std::bad_alloc; nothing has changed then.
  void publish_peers();

  /// The configuration of the files, and the one in force, which includes endpoints that are resources.
  const config::Config& files() const { return files_; }
  const config::Config& config() const { return config_; }
  std::uint64_t generation() const { return generation_; }
  const TlsInForce& tls_in_force() const { return tls_in_force_; }
  const RefusedFiles& refused_files() const { return refused_files_; }  // of the configuration in force

 private:
  /// What has to be opened for new files.
  struct Opened {
    std::optional<log::Target> log;  // none: unchanged
    AccessLogs::Writer access_log;
    std::string access_log_path;
    listening::Listeners::Change listeners;
    listening::Operators::Change operators;
    std::vector<std::string> warnings;
  };
  /// The next state, as far as it is built.
  struct Next {
    config::Config files;
    std::optional<TlsMaterial> tls;
    Opened opened;  // set if `tls` is
    OwnIdentity own;
    std::optional<ClusterSource::Change> cluster;
    config::Config merged;
    LiveDeployments::Change live;
  };

  Next take(Sources sources) const;
  /// Opens sockets and logs. What cannot be opened is a mistake in `findings`.
  void open(Next& next, config::Findings& findings);
  /// Finds changes that need a restart, or that are not possible now.
  void check_changes(const config::Process& next, config::Findings& findings) const;
  /// Joins files and resources into one configuration, and returns what belongs to it.
  LiveDeployments::Sources merge(Next& next);
  proxy::Views::Prepared make_view(Next& next);
  void take_effect(Next& next, proxy::Views::Prepared view) noexcept;

  const Parts parts_;
  const std::string random_via_name_;  // used if router.yaml gives none
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

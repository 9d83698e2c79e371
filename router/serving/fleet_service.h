#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "config/config.h"
#include "config/findings.h"
#include "router/dispatch/membership.h"
#include "router/runtime/resolver.h"
#include "router/serving/fleet_cluster.h"
#include "router/serving/fleet_control.h"
#include "router/serving/fleet_peers.h"
#include "router/serving/fleet_requests.h"
#include "router/serving/fleet_thread.h"
#include "router/serving/fleet_withdrawals.h"
#include "router/serving/live_deployments.h"

namespace router::serving {

/// This process as a member of its fleet: the port for the other members, the keys, the fleet's thread, and what obeys it.
/// Exists only if router.yaml has a section `fleet`. Control thread. Destroyed after `stop` and `ShardSet::close`.
class FleetService {
 public:
  /// What it uses; all of it outlives this.
  struct Parts {
    runtime::Shard& control;
    runtime::ShardSet& shards;
    runtime::Resolver& resolver;
    LiveDeployments& live;
    FleetRequests::Servers& servers;
    std::function<void()> publish_peers;  // publishes a view with `peers()`. May throw std::bad_alloc
  };
  /// Opens the port, and reads the keys or the credentials for the API server. Fails with the location in router.yaml and what
  /// is wrong.
  static absl::StatusOr<std::unique_ptr<FleetService>> make(Parts parts, const config::Config& config);
  FleetService(const FleetService&) = delete;
  FleetService& operator=(const FleetService&) = delete;
  ~FleetService();

  // --- What members tell each other beside the protocol, see fleet::Note. A fleet in which nobody calls `tell` sends nothing.

  /// Before `start`: `heard` is called on control for each note of this topic, with the id of its sender, also for a sender
  /// that is no member (any more). If it throws, the note is lost.
  void hear(const std::string& topic, FleetThread::Heard heard) { thread_->hear(topic, std::move(heard)); }
  /// Tells all members that have a link, not this process itself. A note may be lost, and is not sent to a member for which
  /// too much waits already. Fails if it exceeds a bound of fleet::Note. Throws std::bad_alloc.
  absl::Status tell(const fleet::Note& note) { return thread_->tell(std::nullopt, note); }
  absl::Status tell(const std::string& member, const fleet::Note& note) { return thread_->tell(member, note); }
  /// The id of this process; it changes if the process comes back as another member. Empty before the first news.
  const std::string& own_id() const { return news().report.own_id; }
  /// Every member in any state, this process too, without those that are proven dead: whoever may have requests.
  std::set<std::string> member_ids() const;
  /// Whether a note to this member would be sent: it has a link.
  bool reaches(const std::string& member) const;

  /// Pods that get no new exchange from any member, and what runs there still.
  FleetWithdrawals& withdrawals() { return withdrawals_; }

  /// Before the shards start: from now on this process is a member, if the others agree. Throws std::system_error if there can
  /// be no thread.
  void start();
  /// Applies what may change while the process runs: keys, and the list of the peers. `fleet` was accepted (`check_changes`),
  /// or is the one in force: keys act even if a reload is refused. A mistake in the keys is logged, and the old ones stay.
  void reload(const config::Fleet& fleet);
  /// SIGTERM: the homes move to other members. The port stays open until `stop`.
  void drain();
  /// Whether the process may end, after `drain`: the other members know.
  /// To be asked while no connection of a client or of another router is left.
  bool may_end() { return control_.may_end(); }
  /// The member with this id or address is off for good: an operator says so. Fails if no member is it.
  absl::Status forget(const std::string& who);
  /// Ends what follows the API server; the tasks end some turns of the loop later.
  void stop_following();
  Task<bool> stopped(Deadline deadline);
  /// After the last exchange has ended and the connections to pods are closed. Blocks up to 1.5 s. Idempotent.
  void stop();

  std::shared_ptr<const upstream::Peers> peers() const { return peers_.current(); }
  const dispatch::Coverage& coverage() const { return membership_->coverage(); }
  /// For how many seconds the coverage lasts, negative if it is over; nothing: without end.
  std::optional<double> covered_for() const;
  /// Where the homes are, by name.
  const std::vector<fleet::NamespaceAssignment>& namespaces() const;
  const FleetNews& news() const { return control_.news(); }
  /// Why `/readyz` fails; empty if it does not.
  std::vector<std::string> not_ready() const;

 private:
  FleetService(Parts parts, const config::Config& config, FleetThread::Settings settings);
  FleetThread::Parts thread_parts();
  FleetWithdrawals::Parts withdrawal_parts();
  absl::Status find_keys(const config::Process& process, const std::string& identity);
  absl::Status replace_keys(const tls::PskKeys& keys);
  void replace_keys_or_say(const absl::StatusOr<tls::PskKeys>& keys);

  const Parts parts_;
  config::Fleet fleet_;
  const std::shared_ptr<dispatch::Membership> membership_;
  FleetPeers peers_;
  FleetRequests requests_;
  std::unique_ptr<tls::PskKeys> keys_;  // in force
  FleetControl control_;
  FleetWithdrawals withdrawals_;
  std::unique_ptr<FleetThread> thread_;
  std::unique_ptr<FleetCluster> cluster_;  // nullptr: the peers are fixed
};

/// What of a section `fleet` cannot change while the process runs; mistakes go to `findings`.
void check_fleet_changes(const std::optional<config::Fleet>& next, const std::optional<config::Fleet>& now,
                         config::Findings& findings);

/// Reads the file of the keys, for `--check` and before a change is made. A mistake goes to `findings`; `may_stay`: as a
/// warning, since the keys in force stay.
void check_fleet_keys(const std::optional<config::Fleet>& fleet, bool may_stay, config::Findings& findings);

}  // namespace router::serving

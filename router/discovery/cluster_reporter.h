#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/config.h"
#include "router/discovery/event_writer.h"
#include "router/discovery/key_maker.h"
#include "router/discovery/scoring_uri.h"
#include "router/discovery/status_writer.h"
#include "router/kubernetes/errands.h"
#include "router/kubernetes/leader_election.h"

namespace router::discovery {

struct ReporterOptions {
  kubernetes::LeaderElectionOptions election;
  PublicAddress address;
  bool create_keys = false;
};
/// Makes the options from the configuration. `namespace_name` is the namespace that the credentials name. If no identity is
/// configured, it is made of the host name and a random number.
ReporterOptions reporter_options(const config::Process& process, const std::string& namespace_name);

/// Writes to the API server: statuses, Events of refusals, keys. Of the routers that share a Lease only the leader writes; the
/// others stand by. The leader also reads its own Service, which scoringUri needs. Control thread. After its destruction it
/// calls nothing; its tasks in the group end within LeaderElection::kReleaseMax.
class ClusterReporter final : private runtime::Timer, private kubernetes::Sender {
 public:
  static constexpr std::chrono::milliseconds kLookEvery{500};  // the period of reports, if something has changed
  static constexpr std::chrono::seconds kServiceEvery{60};
  static constexpr std::size_t kTasks = 1 + kubernetes::ErrandsOptions().under_way_max;  // tasks in the group, at most

  struct Seen {
    const Cluster& cluster;
    std::vector<ReconcileResult> results;  // with their replicas counted
    AutoscaledConditions autoscaled{};     // of deployments of which something was decided
  };
  /// Returns the state to report, or nothing if not everything is known yet.
  using Look = std::function<std::optional<Seen>()>;

  /// `client` and `group` (with room for kTasks more tasks) outlive this; the client also outlives the tasks.
  ClusterReporter(
      kubernetes::ApiClient& client, runtime::TaskGroup& group, ReporterOptions options, Look look,
      const kubernetes::WallClock& clock = [] { return std::chrono::system_clock::now(); });

  /// Call this when the result of `look` may have changed.
  void changed() { dirty_ = true; }
  bool leading() const { return election_ != nullptr && election_->leading(); }
  std::uint64_t events_dropped() const { return events_.dropped(); }
  /// Writes an Event, if this router leads.
  void tell(ResourceEvent event) {
    if (leading()) events_.tell(std::move(event));
  }
  /// Whether an Event that is told now is dropped.
  bool would_drop() const { return !leading() || events_.full(); }
  /// `tell` was not called, because it would drop the Event.
  void note_dropped() { events_.note_dropped(); }

 private:
  void leads(bool leading);
  void expired() override;
  void report();
  std::optional<kubernetes::ApiRequest> request_for(const std::string& name) override;
  Outcome answered(const std::string& name, const kubernetes::ApiAnswer& answer) override;

  runtime::Shard& control_;
  const bool create_keys_;
  const Look look_;
  PublicAddress address_;
  bool address_known_ = false;  // the Service was read, could not be read, or is not needed
  TimePoint service_due_{};
  bool dirty_ = true;
  kubernetes::Errands errands_;
  EventWriter events_;
  StatusWriter statuses_;
  KeyMaker keys_;
  std::unique_ptr<kubernetes::LeaderElection> election_;
};

/// Reads a Service that the API server has sent.
OwnService read_own_service(const boost::json::object& object);

}  // namespace router::discovery

#pragma once

#include <absl/status/statusor.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "config/config.h"
#include "router/discovery/cluster_join.h"
#include "router/discovery/cluster_reporter.h"
#include "router/discovery/cluster_state.h"
#include "router/discovery/found_replica.h"
#include "router/discovery/own_addresses.h"
#include "router/discovery/own_service.h"
#include "router/discovery/pod_address.h"
#include "router/discovery/scale_targets.h"
#include "router/kubernetes/api_client.h"
#include "router/runtime/resolver.h"
#include "router/runtime/task_group.h"
#include "router/serving/client_contexts.h"
#include "router/serving/followed.h"
#include "router/serving/followed_secrets.h"
#include "router/serving/live_deployments.h"
#include "router/serving/own_names.h"
#include "router/serving/reconcile_log.h"

namespace router::serving {

/// The source of endpoints that are resources of a Kubernetes API server. Follows these resources, the Secrets that they name
/// and their replicas. Changed replicas go to the live deployments at once, everything else into a new table. While the API
/// server is unavailable, the last state stays in force. Control thread.
class ClusterSource {
 public:
  static constexpr std::chrono::milliseconds kPause{50};         // minimum, between two looks at the changes
  static constexpr std::chrono::seconds kFirstSecretsWait{5};    // maximum, for the Secrets that are needed at the start
  static constexpr std::chrono::milliseconds kSecretsWait{150};  // maximum, for Secrets later
  static constexpr std::chrono::milliseconds kMemoryPause{250};
  static constexpr std::chrono::milliseconds kListsPause{500};  // between two checks whether lists have arrived
  static constexpr std::chrono::seconds kListAgainPause{10};  // minimum, between two lists of what found no room in a namespace

  /// Reads the credentials; sends no request yet. The loop calls `resources_changed` when a new table must be made.
  static absl::StatusOr<std::unique_ptr<ClusterSource>> make(runtime::Shard& control, runtime::Resolver& resolver,
                                                             const config::Kubernetes& settings, std::size_t shards,
                                                             LiveDeployments& live, std::function<void()> resources_changed);
  ClusterSource(const ClusterSource&) = delete;
  ClusterSource& operator=(const ClusterSource&) = delete;
  ~ClusterSource();

  /// Starts to follow the resources, and to report their results.
  void start(const config::Process& process);
  /// Stops all tasks; they end some turns of the loop later.
  void stop();
  /// After `stop`: waits until no task runs, or until the deadline. Returns whether no task runs.
  Task<bool> stopped(Deadline deadline) { return following_.wait(deadline); }

  /// The next state of this source, made beside the state in force.
  class Change;
  /// Joins the known resources, next to the endpoints of files. Returns no endpoints until every kind was listed once. Throws
  /// std::bad_alloc; the state in force is then unchanged.
  Change prepare(const std::vector<config::Endpoint>& files, const OwnIdentity& own);
  /// Makes `change` the state in force, with which later changes are compared.
  void apply(Change& change) noexcept;
  /// Endpoints in force.
  const std::vector<config::Endpoint>& endpoints() const { return joined_.endpoints; }

  /// The result of every resource, with the number of replicas that each deployment has now.
  std::vector<discovery::ReconcileResult> results() const { return results_of(joined_, replicas_); }
  /// Whether everything was listed once: what is not known does not exist.
  bool complete() const { return complete_; }
  /// Why `/readyz` fails; empty once everything was listed.
  std::vector<std::string> not_ready() const;
  /// For how long, at most, the known state has not been confirmed by the API server. Secrets do not count: a Secret that may
  /// not be read concerns its endpoint only.
  Duration age() const;
  /// Number of resources whose newest version is not accepted.
  std::size_t resources_refused() const;
  /// Number of events about refusals that were not written.
  std::uint64_t events_dropped() const { return reporter_ != nullptr ? reporter_->events_dropped() : 0; }
  const config::Kubernetes& settings() const { return settings_; }

  // --- for the autoscaler
  /// Whether this router holds the status Lease: of all routers that share it, it alone writes.
  bool leads() const { return reporter_ != nullptr && reporter_->leading(); }
  /// Of deployments that are scaled, the condition Autoscaled. `explain` is called at each report; call `report_again` when its
  /// results have changed. Before `start`.
  using Explain = std::function<std::optional<discovery::Condition>(const DeploymentKey&)>;
  void explain_scaling(Explain explain) { explain_ = std::move(explain); }
  void report_again() {
    if (reporter_ != nullptr) reporter_->changed();
  }
  /// Writes an Event about the resource of this deployment, if this router leads. `event` needs no kind, key and uid.
  void tell(const DeploymentKey& key, discovery::ResourceEvent event);
  /// The deployments of which the API server shows this reason in this condition.
  std::set<DeploymentKey> told(std::string_view condition, std::string_view reason) const;
  /// For the targets in the served namespaces. To be destroyed before `stop`.
  std::unique_ptr<discovery::ScaleTargets> make_targets(discovery::ScaleTargetsOptions options);

 private:
  class Tick final : public runtime::Timer {
   public:
    explicit Tick(ClusterSource& owner) : owner_(owner) {}

   private:
    void expired() override;
    ClusterSource& owner_;
  };
  using Index = std::map<discovery::ObjectKey, std::vector<const config::Deployment*>>;
  struct KnownTransport {
    bool verify = true;
    std::string server_name;
    std::shared_ptr<const upstream::Transport> transport;
  };

  ClusterSource(runtime::Shard& control, std::unique_ptr<kubernetes::ApiClient> client, const config::Kubernetes& settings,
                std::size_t shards, LiveDeployments& live, std::function<void()> resources_changed);

  Followed follow_kind(discovery::ClusterState::Kind kind, const std::string& namespace_name);
  /// Lists again the objects that were dropped for lack of room in their namespace, if there is room now.
  void list_dropped_again();
  void begin_to_report(const config::Process& process);
  discovery::AutoscaledConditions autoscaled(const std::vector<discovery::ReconcileResult>& results) const;
  void look_soon();
  /// Schedules a look, at `when` at the latest.
  void look_at(TimePoint when);
  /// Applies what has changed since the last look.
  void look();
  /// Whether every kind was listed in every namespace. A namespace that may not be read does not count as long as there is
  /// another: rights that are missing for one team do not close the router to all others.
  bool kinds_listed() const;
  /// Whether Pods were listed in every namespace. Pods that may not be read do not count: they concern only the deployments
  /// that need them.
  bool pods_listed() const;
  /// Whether the Pods of this namespace were never listed because the router may not read them.
  bool pods_forbidden(const std::string& namespace_name) const;
  void load_transports(Change& change);
  std::shared_ptr<const upstream::Transport> transport(const config::Deployment& deployment, config::Findings& findings);
  static void index_deployments(Change& change);
  void add_own_names(discovery::TakenNames& taken, const std::set<std::string>& certified) const;
  bool own_names_known() const { return own_service_ == nullptr || own_service_->known(); }
  discovery::FoundReplicas look_for_replicas(const config::Deployment& deployment, const discovery::Avoided& avoided) const;
  /// Update the replicas of one deployment, or of all deployments of the keys in `changed`, at once. Return whether a result
  /// may differ now.
  bool update_replicas(const config::Deployment& deployment);
  /// The Services of which a slice has changed, and with `check_pod_addresses` all Services of a namespace with a changed Pod.
  std::set<discovery::ObjectKey> with_services_of(const discovery::ClusterState::Changes& changes) const;
  bool update_replicas(const Index& index, const std::set<discovery::ObjectKey>& changed);

  runtime::Shard& control_;
  const config::Kubernetes settings_;
  ClientContexts contexts_;
  discovery::Avoided avoided_;
  std::set<std::string> certified_;
  std::unique_ptr<discovery::OwnServiceNames> own_service_;  // nullptr: `service_name` is not given
  LiveDeployments& live_;
  const std::function<void()> resources_changed_;
  const std::unique_ptr<kubernetes::ApiClient> client_;
  runtime::TaskGroup following_;
  discovery::ClusterState state_;
  Follower follower_;
  FollowedSecrets secrets_;
  std::vector<Followed> kinds_;
  std::vector<Followed> pods_;  // only with `adopt_azureml_pods` or `check_pod_addresses`
  TimePoint list_again_due_{};
  bool stopping_ = false;
  bool pending_ = false;   // resources have changed, and wait for lists or Secrets
  bool complete_ = false;  // everything was listed once; never false again
  TimePoint looked_{};
  TimePoint next_look_ = kNever;
  std::optional<TimePoint> wait_until_;  // for Secrets, while pending_
  discovery::TakenNames taken_;
  discovery::Joined joined_;
  Index by_service_;  // deployments of joined_ that name a Service
  Index by_labels_;   // deployments of joined_ that adopt Pods, by discovery::label_key
  std::map<DeploymentKey, discovery::FoundReplicas> replicas_;  // as last given to live_
  std::map<DeploymentKey, KnownTransport> known_transports_;
  ReconcileLog reconcile_log_;
  Explain explain_;
  std::unique_ptr<discovery::ClusterReporter> reporter_;  // nullptr: nothing is written
  Tick tick_{*this};
};

class ClusterSource::Change {
 public:
  const std::vector<config::Endpoint>& endpoints() const { return joined_.endpoints; }
  /// All replicas of each deployment.
  std::map<DeploymentKey, std::vector<discovery::FoundReplica>> replicas() const;
  /// TLS towards the replicas, for the deployments that use TLS.
  Transports transports() const;

 private:
  friend class ClusterSource;
  discovery::TakenNames taken_;
  std::set<std::string> certified_;
  discovery::Joined joined_;
  Index by_service_;
  Index by_labels_;
  discovery::Avoided avoided_;
  std::map<DeploymentKey, discovery::FoundReplicas> replicas_;
  std::map<DeploymentKey, KnownTransport> known_transports_;
  ReconcileLog::News results_;
};

}  // namespace router::serving

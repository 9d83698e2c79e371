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

/// Endpoints that are resources of a Kubernetes API server: follows them, what they name, and their replicas. Replicas are told
/// to the live deployments at once, all else by a new table. While the API server is away, what was known stays in force.
/// Control thread.
class ClusterSource {
 public:
  static constexpr std::chrono::milliseconds kPause{50};         // at least, between two looks at what has changed
  static constexpr std::chrono::seconds kFirstSecretsWait{5};    // at most, for the Secrets that are needed at the start
  static constexpr std::chrono::milliseconds kSecretsWait{150};  // likewise later, before others' changes are taken up
  static constexpr std::chrono::milliseconds kMemoryPause{250};
  static constexpr std::chrono::milliseconds kListsPause{500};  // at the start, between two looks at which lists have come
  static constexpr std::chrono::seconds kListAgainPause{10};    // at least, between two lists because of room in a namespace

  /// Reads the credentials; asks nobody yet. `resources_changed` is called from the loop when a new table is to be made.
  static absl::StatusOr<std::unique_ptr<ClusterSource>> make(runtime::Shard& control, runtime::Resolver& resolver,
                                                             const config::Kubernetes& settings, std::size_t shards,
                                                             LiveDeployments& live, std::function<void()> resources_changed);
  ClusterSource(const ClusterSource&) = delete;
  ClusterSource& operator=(const ClusterSource&) = delete;
  ~ClusterSource();

  /// Begins to follow, and to report what became of the resources.
  void start(const config::Process& process);
  /// Ends what is under way, some turns of the loop later.
  void stop();
  /// After `stop`: until nothing is under way any more, or the deadline; whether nothing is.
  Task<bool> stopped(Deadline deadline) { return following_.wait(deadline); }

  /// What is known now, joined beside the endpoints of files: what comes next, made beside what is in force.
  class Change;
  /// Nothing comes out until everything was listed once. Throws std::bad_alloc; nothing has changed but what can be made again.
  Change prepare(const std::vector<config::Endpoint>& files, const OwnIdentity& own);
  /// From now on what has changed is compared with this, and told of it.
  void apply(Change& change) noexcept;
  /// Of what is in force.
  const std::vector<config::Endpoint>& endpoints() const { return joined_.endpoints; }

  /// What became of every resource, and how many replicas each deployment has now.
  std::vector<discovery::ReconcileResult> results() const { return results_of(joined_, replicas_); }
  /// Why `/readyz` has to wait; empty once everything was listed.
  std::vector<std::string> not_ready() const;
  /// For how long, at most, what is known has not been known to be up to date. Secrets do not count: that one may not be read
  /// is its endpoint's business.
  Duration age() const;
  /// Resources whose newest version is not accepted.
  std::size_t resources_refused() const;
  /// Events of refusals that were not written.
  std::uint64_t events_dropped() const { return reporter_ != nullptr ? reporter_->events_dropped() : 0; }
  const config::Kubernetes& settings() const { return settings_; }

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
  /// What was dropped for want of room in its namespace, if there is some now.
  void list_dropped_again();
  void begin_to_report(const config::Process& process);
  void look_soon();
  /// At the latest.
  void look_at(TimePoint when);
  /// At what has changed since the last time.
  void look();
  /// Every kind was listed in every namespace, but for namespaces that may not be read, as long as there is another: what an
  /// operator has forgotten to allow for one team does not close the router to all.
  bool kinds_listed() const;
  /// Pods that may not be read do not count: that is the business of the deployments that would adopt them.
  bool pods_listed() const;
  /// They never could be read in this namespace, and that is why.
  bool pods_forbidden(const std::string& namespace_name) const;
  void load_transports(Change& change);
  std::shared_ptr<const upstream::Transport> transport(const config::Deployment& deployment, config::Findings& findings);
  static void index_deployments(Change& change);
  void add_own_names(discovery::TakenNames& taken, const std::set<std::string>& certified) const;
  bool own_names_known() const { return own_service_ == nullptr || own_service_->known(); }
  discovery::FoundReplicas look_for_replicas(const config::Deployment& deployment, const discovery::Avoided& avoided) const;
  /// At once: those of one deployment, or of all that are behind what has changed. Whether a result may be another now.
  bool update_replicas(const config::Deployment& deployment);
  /// Those of which a slice has changed, or with `check_pod_addresses` a Pod of their namespace.
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
  bool pending_ = false;   // resources have changed, and wait for the Secrets that they name
  bool complete_ = false;  // everything was listed once; for good
  TimePoint looked_{};
  TimePoint next_look_ = kNever;
  std::optional<TimePoint> wait_until_;  // for Secrets, while pending_
  discovery::TakenNames taken_;
  discovery::Joined joined_;
  Index by_service_;                                            // deployments of joined_ that name a Service
  Index by_labels_;                                             // and those that adopt Pods, by discovery::label_key
  std::map<DeploymentKey, discovery::FoundReplicas> replicas_;  // as told
  std::map<DeploymentKey, KnownTransport> known_transports_;
  ReconcileLog reconcile_log_;
  std::unique_ptr<discovery::ClusterReporter> reporter_;  // nullptr: nothing is written
  Tick tick_{*this};
};

class ClusterSource::Change {
 public:
  const std::vector<config::Endpoint>& endpoints() const { return joined_.endpoints; }
  /// All replicas of each deployment.
  std::map<DeploymentKey, std::vector<discovery::FoundReplica>> replicas() const;
  /// TLS towards the replicas of those that have any.
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

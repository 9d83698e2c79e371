#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "config/config.h"
#include "router/discovery/found_replica.h"
#include "router/discovery/probe.h"
#include "router/discovery/readmission.h"
#include "router/discovery/replica_source.h"
#include "router/dispatch/held_bytes.h"
#include "router/dispatch/membership.h"
#include "router/dispatch/request_queue.h"
#include "router/metrics/registry.h"
#include "router/runtime/resolver.h"
#include "router/runtime/shard_set.h"
#include "router/runtime/task_group.h"
#include "router/serving/fleet_homes.h"
#include "router/serving/live_deployment.h"
#include "router/serving/transports.h"
#include "router/upstream/replica.h"

namespace router::serving {

/// Everything that outlives a routing table: queues with their slots, replicas with their probes. Control thread.
class LiveDeployments {
 public:
  LiveDeployments(runtime::Shard& control, runtime::ShardSet& shards, metrics::Registry& metrics, runtime::Resolver& resolver);

  /// What the deployments of a member of a fleet need besides.
  struct FleetPart {
    std::shared_ptr<dispatch::Membership> membership;
    FleetHomes& homes;
    std::function<void()> changed;  // deployments, their limits or their replicas. Does not throw
  };
  /// Before the first `prepare`. `homes` outlives this.
  void join_fleet(FleetPart fleet) { fleet_.emplace(std::move(fleet)); }
  /// Where requests for the deployment are queued; nullptr: in this process, without a fleet. Throws std::bad_alloc.
  std::shared_ptr<const dispatch::NamespaceHome> home(const config::Deployment& settings) const;
  /// Whether this process sends requests to the deployment's pods: always without a fleet or a limit at its pods, else as its
  /// home.
  bool serves_here(const config::Deployment& settings) const;

  /// Sets all replicas of a deployment that is a resource, as Kubernetes reports them now. Applies at once, and until the next
  /// call or until `remove_others` removes the deployment.
  void update_replicas(const DeploymentKey& key, std::vector<discovery::FoundReplica> found);

  /// What belongs to the next configuration besides its settings.
  struct Sources {
    Transports transports{};
    /// Of deployments that are resources. They are applied together with the configuration, not before: exchanges of an older
    /// table are not sent to replicas that belong to changed settings.
    std::map<DeploymentKey, std::vector<discovery::FoundReplica>> replicas{};
    /// Addresses of this process, at which a file's replicas are left out. Null: unchanged.
    std::shared_ptr<const discovery::OwnAddresses> own{};
  };

  /// The live objects of the next configuration, made beside those in force. `generation` is that of the next table.
  struct Change {
    std::uint64_t generation = 0;

   private:
    friend class LiveDeployments;
    struct Next {
      DeploymentKey key;
      config::Deployment settings;
      std::shared_ptr<const upstream::Transport> transport;
    };
    std::vector<Next> configured_;
    std::map<DeploymentKey, std::unique_ptr<LiveDeployment>> added_;
    std::vector<DeploymentKey> removed_;
    std::map<DeploymentKey, std::vector<discovery::FoundReplica>> told_;
    std::shared_ptr<const discovery::OwnAddresses> own_;
  };
  /// Makes the queues of new deployments; changes nothing that is in force. Throws std::bad_alloc.
  Change prepare(const config::Config& config, Sources sources, std::uint64_t generation);
  /// Adds the new deployments to the old ones, and gives every queue its new settings and replicas. A step that finds no
  /// memory is tried again until it succeeds, since it cannot be undone from here on.
  void apply(Change& change) noexcept;
  /// Closes the queues of deployments that are no longer configured, after the table without them was published.
  void remove_others(const Change& change) noexcept;

  /// `wake`: a request is held in this process for a first replica of the deployment, and none was before. It may be called
  /// again while some are. It does not throw. Set before the shards run.
  void when_waking(std::function<void(const DeploymentKey&)> wake) { wake_ = std::move(wake); }

  /// Of the requests of this process that are held for a first replica.
  const std::shared_ptr<dispatch::HeldBytes>& held_bytes() const { return held_bytes_; }

  /// Asks the replicas at these pods that are not ready, now: only from now on they may be probed, since a slot is free.
  void probe_at_once(const std::set<std::string>& pods);

  /// In a fleet: replicas at pods with a limit, which another deployment may have set, end the idle connections that no slot
  /// counts, since another router waits for their end; replicas at other pods keep such connections. Throws std::bad_alloc;
  /// repeat it then.
  void set_limited(const std::function<bool(const std::string& pod)>& limited);

  const LiveDeployment& get(const DeploymentKey& key) const { return *live_.at(key); }
  /// The deployment as it will be once `change` is applied: its queue and its metrics.
  const LiveDeployment& get(const DeploymentKey& key, const Change& change) const {
    const auto added = change.added_.find(key);
    return added != change.added_.end() ? *added->second : *live_.at(key);
  }
  const std::map<DeploymentKey, std::unique_ptr<LiveDeployment>>& all() const { return live_; }
  /// Replicas that a file lists and that cannot be used at present.
  std::vector<discovery::FileReplicas::Missing> missing(const LiveDeployment& deployment) const;
  /// Whether every source has reported its replicas once: part of `/readyz`.
  bool listed() const { return source_.listed(); }
  /// Ends probes and closes the queues and their idle connections, before the shards end.
  void stop();
  /// After `stop`: waits until no probe runs, or until the deadline. Returns whether no probe runs.
  Task<bool> stopped(Deadline deadline) { return probes_.wait(deadline); }

 private:
  void apply_settings(const DeploymentKey& key, LiveDeployment& live);
  void set_replicas(const DeploymentKey& key, const std::vector<discovery::FoundReplica>& found);
  std::shared_ptr<dispatch::PodSlots> pod_of(const std::string& name);
  void tell_fleet() const noexcept {
    if (fleet_) fleet_->changed();
  }
  std::shared_ptr<upstream::Replica> make_replica(const LiveDeployment& deployment, const discovery::FoundReplica& found);
  /// Applies what the source reports about a replica that is a member already.
  void follow(LiveDeployment& deployment, LiveReplica& live, const discovery::FoundReplica& found);
  /// The function with which a probe of the replica's scoring address takes a slot.
  std::function<discovery::ProbeSlotOffer(std::shared_ptr<dispatch::PreemptibleHolder>)> slot_of(const LiveReplica& live) const;
  void start_probe(LiveDeployment& deployment, LiveReplica& live);
  runtime::ShardSet::ForAll prepare_to_retire(std::vector<std::shared_ptr<upstream::Replica>> replicas);
  std::shared_ptr<dispatch::RequestQueue> make_queue(const DeploymentKey& key);
  void set_ready(LiveDeployment& deployment, LiveReplica& live, bool ready);
  /// Records the result of a probe, or of one made for the readmission of a replica.
  void note(LiveDeployment& deployment, LiveReplica& live, const discovery::ProbeAnswer& answer);
  void set_why(LiveDeployment& deployment, LiveReplica& live, std::string why);
  /// Posts an update of the queue's text on why replicas get no requests; one for all changes until it runs.
  void update_trouble_soon(LiveDeployment& deployment);
  /// Acts on replicas whose condition has changed: logs it, and starts or ends their readmission.
  void look_after(const DeploymentKey& key);
  void look_after(LiveDeployment& deployment, LiveReplica& live);
  void start_readmission(LiveDeployment& deployment, LiveReplica& live);
  discovery::ReturnTerms return_terms(const LiveReplica& live) const;

  runtime::Shard& control_;
  runtime::ShardSet& shards_;
  metrics::Registry& metrics_;
  std::map<DeploymentKey, std::unique_ptr<LiveDeployment>> live_;
  std::uint64_t generation_ = 0;
  static constexpr std::size_t kProbesMax = 100'000;
  runtime::TaskGroup probes_;
  std::shared_ptr<discovery::ProbeLimit> probe_limit_ = std::make_shared<discovery::ProbeLimit>();
  discovery::FileReplicas source_;
  std::map<DeploymentKey, std::vector<discovery::FoundReplica>> told_;  // of deployments that are resources
  static constexpr std::size_t kPodsMin = 1000;
  std::optional<FleetPart> fleet_;
  std::function<void(const DeploymentKey&)> wake_;
  std::shared_ptr<dispatch::HeldBytes> held_bytes_ = std::make_shared<dispatch::HeldBytes>();
  std::map<std::string, std::weak_ptr<dispatch::PodSlots>> pods_;  // by namespace (empty: files) and identity, or address
  std::size_t forget_pods_at_ = kPodsMin;                          // when so many are known, expired ones are erased
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);     // for functions that were posted and run after the end
};

}  // namespace router::serving

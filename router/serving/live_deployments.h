#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/config.h"
#include "router/discovery/found_replica.h"
#include "router/discovery/probe.h"
#include "router/discovery/readmission.h"
#include "router/discovery/replica_source.h"
#include "router/dispatch/request_queue.h"
#include "router/metrics/registry.h"
#include "router/runtime/resolver.h"
#include "router/runtime/shard_set.h"
#include "router/runtime/task_group.h"
#include "router/serving/live_deployment.h"
#include "router/serving/transports.h"
#include "router/upstream/replica.h"

namespace router::serving {

/// Everything that outlives a routing table: queues with their slots, replicas with their probes. Control thread.
class LiveDeployments {
 public:
  LiveDeployments(runtime::Shard& control, runtime::ShardSet& shards, metrics::Registry& metrics, runtime::Resolver& resolver);

  /// The replicas of a deployment that is a resource, all of them, as Kubernetes tells them now: at once, and until it tells
  /// others or `remove_others` removes the deployment.
  void update_replicas(const DeploymentKey& key, std::vector<discovery::FoundReplica> found);

  /// What belongs to the next configuration besides its settings.
  struct Sources {
    Transports transports{};
    /// Of deployments that are resources. Told with the configuration and not before: exchanges of an older table are not sent
    /// to replicas that belong to changed settings.
    std::map<DeploymentKey, std::vector<discovery::FoundReplica>> replicas{};
    /// Replicas of files that are listeners of this process are none. Null: as before.
    std::shared_ptr<const discovery::OwnAddresses> own{};
  };

  /// The next configuration's live objects, made beside those in force. `generation` is that of the table which is published
  /// next.
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
  /// Makes queues for new deployments, and changes nothing that is in force. Throws std::bad_alloc.
  Change prepare(const config::Config& config, Sources sources, std::uint64_t generation);
  /// Puts the new deployments beside the old ones, and gives every queue its new settings and replicas. What finds no memory
  /// is tried again until it does: there is no way back from here.
  void apply(Change& change) noexcept;
  /// After the table without them was published: closes the queues of deployments that are no longer configured.
  void remove_others(const Change& change) noexcept;

  const LiveDeployment& get(const DeploymentKey& key) const { return *live_.at(key); }
  /// As it will be once `change` is applied: its queue and its metrics.
  const LiveDeployment& get(const DeploymentKey& key, const Change& change) const {
    const auto added = change.added_.find(key);
    return added != change.added_.end() ? *added->second : *live_.at(key);
  }
  const std::map<DeploymentKey, std::unique_ptr<LiveDeployment>>& all() const { return live_; }
  /// Replicas that a file lists and that are none at present.
  std::vector<discovery::FileReplicas::Missing> missing(const LiveDeployment& deployment) const;
  /// Every source has told its replicas once: part of `/readyz`.
  bool listed() const { return source_.listed(); }
  /// Ends probes and retires resting connections, before the shards end.
  void stop();
  /// After `stop`: until no probe runs any more, or the deadline; whether none does.
  Task<bool> stopped(Deadline deadline) { return probes_.wait(deadline); }

 private:
  void apply_settings(const DeploymentKey& key, LiveDeployment& live);
  void set_replicas(const DeploymentKey& key, const std::vector<discovery::FoundReplica>& found);
  std::shared_ptr<dispatch::PodSlots> pod_of(const LiveDeployment& deployment, const discovery::FoundReplica& found);
  std::shared_ptr<upstream::Replica> make_replica(const LiveDeployment& deployment, const discovery::FoundReplica& found);
  /// Takes over what the source says of a replica whose queue knows it.
  void follow(LiveDeployment& deployment, LiveReplica& live, const discovery::FoundReplica& found);
  /// What a probe of its scoring address needs.
  std::function<discovery::ProbeSlotOffer(std::shared_ptr<dispatch::PreemptibleHolder>)> slot_of(const LiveReplica& live) const;
  void start_probe(LiveDeployment& deployment, LiveReplica& live);
  runtime::ShardSet::ForAll prepare_to_retire(std::vector<std::shared_ptr<upstream::Replica>> replicas);
  std::shared_ptr<dispatch::RequestQueue> make_queue(const DeploymentKey& key);
  void set_ready(LiveDeployment& deployment, LiveReplica& live, bool ready);
  /// What a probe, or the way back of a replica that is out, has come to.
  void note(LiveDeployment& deployment, LiveReplica& live, const discovery::ProbeAnswer& answer);
  void set_why(LiveDeployment& deployment, LiveReplica& live, std::string why);
  /// Tells the queue what keeps replicas from serving; once for all that changes together.
  void update_trouble_soon(LiveDeployment& deployment);
  /// Takes care of replicas whose condition has changed.
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
  std::map<DeploymentKey, std::vector<discovery::FoundReplica>> told_;  // of resources
  static constexpr std::size_t kPodsMin = 1000;
  std::map<std::string, std::weak_ptr<dispatch::PodSlots>> pods_;  // by namespace (of files: none) and identity, or address
  std::size_t forget_pods_at_ = kPodsMin;                          // known ones: then look for those that are gone
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);     // for what was posted and runs after the end
};

}  // namespace router::serving

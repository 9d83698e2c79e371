#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "router/discovery/scale_targets.h"
#include "router/fleet/note.h"
#include "router/runtime/shard.h"
#include "router/runtime/timer_queue.h"
#include "router/scaling/signals_text.h"
#include "router/serving/fleet_service.h"
#include "router/serving/live_deployments.h"
#include "router/serving/scaling_book.h"

namespace router::serving {

/// The end of a write of `spec.replicas`, or that none is possible, for Events and the log.
struct ScalingEvent {
  DeploymentKey key;
  enum class Kind { kScaledUp, kScaledDown, kRefused } kind = Kind::kScaledUp;
  std::string reason;   // of the decision
  std::string message;  // at most scaling::kMessageMost bytes
};

/// Scales the deployments of resources: counts in every router, decides in the one that holds the status Lease, and writes to
/// the targets where the mode is `act` (docs/autoscaling.md). Exists only beside a ClusterSource. Without a deployment that has
/// `scale_settings` it counts nothing and tells the other routers nothing. Control thread.
class Autoscaler final : private runtime::Timer {
 public:
  static constexpr std::chrono::seconds kTick{1};
  static constexpr std::chrono::seconds kFirstLook{10};    // that a new leader waits, at most, to have seen targets and HPAs
  static constexpr std::chrono::seconds kLeaderHeard{30};  // what the leader has said about starts counts so long

  /// What it uses; all of it outlives this.
  struct Parts {
    runtime::Shard& control;
    LiveDeployments& live;
    FleetService* fleet = nullptr;                  // nullptr: this router counts for itself
    std::function<const config::Config&()> config;  // in force, with the resources
    std::function<std::uint64_t()> generation;      // of it: looked at once a tick
    std::function<bool()> leads;                    // whether this router holds the status Lease now
    /// Makes the reader and writer of targets.
    std::function<std::unique_ptr<discovery::ScaleTargets>(discovery::ScaleTargetsOptions options)> make_targets;
    /// The deployments of which the API server shows this reason in the condition Autoscaled.
    std::function<std::set<DeploymentKey>(std::string_view reason)> told;
    std::function<void()> changed;                    // what `book` tells has changed: statuses are to be written
    std::function<void(const ScalingEvent&)> events;  // an Event is to be written
  };
  /// With a fleet: before its start.
  explicit Autoscaler(Parts parts);
  Autoscaler(const Autoscaler&) = delete;
  Autoscaler& operator=(const Autoscaler&) = delete;
  ~Autoscaler() override = default;

  void start();
  void stop();
  /// The queue of this deployment holds a first request for a replica that is not there.
  void held(const DeploymentKey& key);

  const ScalingBook& book() const { return book_; }
  bool leads() const { return targets_ != nullptr; }
  /// Routers that share the demand, at least 1.
  std::size_t members() const { return std::max<std::size_t>(members_, 1); }
  /// The demand as far as it is known in this router; nothing: the deployment is not scaled.
  std::optional<scaling::Figures> demand(const DeploymentKey& key);
  /// How often writes have ended so, by `discovery::name_of`.
  const std::map<std::string, std::uint64_t>& writes() const { return writes_; }

 private:
  struct Scaled;
  void expired() override;
  void configure();
  void add(const config::Deployment& deployment, std::vector<BookedDeployment>& booked,
           std::map<DeploymentKey, Scaled>& scaled);
  void count();
  void lead_or_follow();
  void begin_to_lead();
  void end_of_lead();
  void set_targets();
  void decide_due();
  void decide(const DeploymentKey& key);
  bool has_looked(const DeploymentKey& key) const;
  void act(const DeploymentKey& key, const ScalingDecision& decision, ScalingNews news);
  void written(const DeploymentKey& key, const discovery::ScaleWritten& written);
  std::optional<scaling::StartNote> start_of(const DeploymentKey& key) const;
  void tell_starts();
  void hear_signals(const std::string& member, const fleet::Note& note);
  void hear_wake(const std::string& member, const fleet::Note& note);
  void hear_starts(const std::string& member, const fleet::Note& note);
  void wake(const DeploymentKey& key);
  void apply_start(const DeploymentKey& key, const scaling::StartNote& start);
  void hold_by_default(const DeploymentKey& key);
  TargetSeen look_at(const DeploymentKey& key) const;
  Duration after_conflict(const DeploymentKey& key) const;
  const LiveDeployment* live(const DeploymentKey& key) const;
  std::string own_id() const;
  void tell(std::string_view topic, std::string key, std::string body);

  /// What of a deployment is not in the book.
  struct Scaled {
    scaling::DeploymentName name;
    discovery::ScaledDeployment target;
    bool may_wake = false;  // mode act, min_instances 0: requests are held for a first replica
    TimePoint since{};      // when it was configured
    TimePoint told{};       // when the leader has said last whether requests are held
  };

  const Parts parts_;
  const std::uint64_t incarnation_;
  const TimePoint begun_;
  ScalingBook book_;
  std::map<DeploymentKey, Scaled> scaled_;
  std::uint64_t generation_ = 0;
  std::size_t members_ = 0;
  std::size_t rounds_ = 0;                            // of telling what was counted
  std::unique_ptr<discovery::ScaleTargets> targets_;  // while this router leads
  std::map<DeploymentKey, ScalingDecision> writing_;  // what led to the write that is under way
  std::map<std::string, std::uint64_t> writes_;
};

}  // namespace router::serving

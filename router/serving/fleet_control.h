#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "router/dispatch/membership.h"
#include "router/fleet/events.h"
#include "router/runtime/shard.h"
#include "router/runtime/shard_set.h"
#include "router/serving/fleet_homes.h"
#include "router/serving/fleet_news.h"
#include "router/serving/fleet_peers.h"
#include "router/serving/fleet_pods.h"
#include "router/serving/live_deployments.h"

namespace router::serving {

/// Makes the data path obey the fleet, and tells the fleet what this process serves and holds (docs/decisions/0074). Everything
/// that is written to queues and pods is in force when the call ends, since both have mutexes; so the fleet is told at once
/// that an assignment is obeyed. Control thread.
class FleetControl final : private runtime::Timer {
 public:
  struct Parts {
    runtime::Shard& control;
    runtime::ShardSet& shards;
    LiveDeployments& live;
    FleetPeers& peers;
    std::shared_ptr<dispatch::Membership> membership;
    std::chrono::milliseconds running_grace;  // fleet.running_grace_s
    std::function<void(fleet::Event)> post;   // to the fleet's thread, in order. May throw std::bad_alloc
    std::function<void()> publish_peers;      // publishes a view with `peers.current()`. May throw std::bad_alloc
  };
  static constexpr std::chrono::milliseconds kLook{100};  // between two looks at coverage and what is held
  static constexpr std::chrono::milliseconds kLookBusy{
      20};  // at most, while another router may wait for the end of what is held
  static constexpr std::chrono::milliseconds kLookFirst{1};  // after a change of what is held
  static constexpr std::chrono::microseconds kLookEach{5};   // and so much for each pod
  static constexpr std::chrono::milliseconds kTellUnlimited{200};

  explicit FleetControl(Parts parts);

  /// For LiveDeployments: where the home of each namespace is.
  FleetHomes& homes() { return homes_; }
  /// Begins to tell and to obey.
  void start() { control().schedule(*this, control().now()); }
  /// The deployments or their replicas have changed; tells the fleet from the event loop.
  void deployments_changed() noexcept;
  /// Peers have to be made again: other keys.
  void peers_changed();
  /// The newest news replace the ones before. Does not throw: what finds no memory is done later.
  void take(FleetNews news) noexcept;
  const FleetNews& news() const { return news_; }
  /// Leaves the fleet: homes move, and this process may end when `news().may_leave`.
  void drain();
  /// Asked while no connection is left: if nothing runs at a pod either, the fleet is told that this process is done.
  bool may_end();
  void stop() { control().schedule(*this, kNever); }

 private:
  struct Obeyed {
    std::uint64_t version = 0;  // of the assignment
    std::uint64_t served = 0;   // what the fleet knew of
    std::uint64_t number = 0;   // what is served now
    bool covered = false;
    bool operator==(const Obeyed&) const = default;
  };

  void expired() override;
  Duration next_look() const;
  void tell_served();
  void tell_waits();
  void obey();
  void set_homes();
  void allow_slots(bool covered);
  void cut_if_asked();
  void tell_holdings();
  bool needs_home(const DeploymentKey& key, const LiveDeployment& live) const;
  runtime::Shard& control() const { return parts_.control; }

  const Parts parts_;
  FleetHomes homes_;
  FleetPods pods_;
  std::set<DeploymentKey> bound_;  // deployments with a pod that has a limit
  FleetNews news_;
  fleet::Waits waits_;  // that were told
  bool served_is_current_ = false;
  bool queues_are_current_ = false;
  bool peers_are_current_ = true;
  bool view_is_current_ = true;
  bool drains_ = false;
  bool drain_is_told_ = false;
  bool end_is_told_ = false;
  bool cut_ = false;
  std::uint64_t served_ = 0;  // Served events that were posted
  Obeyed obeyed_;
  std::uint64_t told_version_ = 0;
  FleetPods::Holdings told_;
  TimePoint told_at_{};
};

}  // namespace router::serving

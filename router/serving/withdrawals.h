#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "router/dispatch/pod_slots.h"
#include "router/runtime/shard.h"
#include "router/serving/live_deployments.h"

namespace router::serving {

/// Pods of which somebody says that they are about to be removed: they get no new exchange from this process, and what runs
/// there goes on. What was said lapses by itself, so that whoever said it may die. Control thread.
class Withdrawals final : private runtime::Timer {
 public:
  static constexpr std::size_t kSpeakersMax = 8;       // usually there is one; others change with the leader
  static constexpr std::chrono::seconds kLongest{30};  // for which anything holds

  /// Both outlive this.
  Withdrawals(runtime::Shard& control, const LiveDeployments& live);

  /// `speaker` says that these pods, by LiveReplica::pod, are withdrawn for so long; this replaces what it said before. Applies
  /// at once. To be repeated: a replica that has come meanwhile is found then. With too many speakers it does nothing. Throws
  /// std::bad_alloc; the pods that were withdrawn before lapse in time all the same.
  void say(const std::string& speaker, std::set<std::string> pods, Duration how_long);
  /// Whether no new exchange begins at the pod.
  bool withdrawn(const std::string& pod) const { return withdrawn_.contains(pod); }
  std::size_t size() const { return withdrawn_.size(); }
  /// Exchanges of this process that run at a withdrawn pod; 0 for others.
  std::uint64_t running(const std::string& pod) const;
  /// Gives all pods back.
  void stop() noexcept;

 private:
  struct Saying {
    std::set<std::string> pods;
    TimePoint until{};
  };
  void expired() override;
  void apply();
  bool wanted(const std::string& pod) const;

  runtime::Shard& control_;
  const LiveDeployments& live_;
  std::map<std::string, Saying> sayings_;                                 // by speaker
  std::map<std::string, std::shared_ptr<dispatch::PodSlots>> withdrawn_;  // by pod
};

}  // namespace router::serving

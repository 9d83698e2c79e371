#pragma once

#include <chrono>
#include <cstdint>
#include <map>

#include "router/runtime/shard.h"
#include "router/serving/live_deployments.h"

namespace router::serving {

/// Warns in the log about deployments whose servers do not notice an abort: the slot is free after `abort_wait_ms` while the
/// worker still computes, so the next request waits inside the pod. The router changes no setting; the operator has to. The
/// log names a deployment when this first happens there, and then at most every ten minutes. Control thread.
class UnnoticedAborts final : private runtime::Timer {
 public:
  static constexpr const char* kHint =
      "the pod kept computing after an abort, and the next request waited inside it: set `drain_on_abort: true`";

  UnnoticedAborts(runtime::Shard& control, const LiveDeployments& live) : control_(control), live_(live) {}

  void start() { control_.schedule(*this, control_.now() + kLook); }

 private:
  static constexpr std::chrono::seconds kLook{2};
  static constexpr std::chrono::minutes kLogAgain{10};
  struct Told {
    std::uint64_t aborts = 0;
    TimePoint when{};
  };

  void expired() override;
  void look();

  runtime::Shard& control_;
  const LiveDeployments& live_;
  std::map<DeploymentKey, Told> told_;
};

}  // namespace router::serving

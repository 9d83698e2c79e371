#pragma once

#include <absl/status/status.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "router/fleet/note.h"
#include "router/scaling/signals_text.h"
#include "router/serving/withdrawals.h"

namespace router::serving {

/// Withdraws pods in a whole fleet: the leader of the autoscaler tells all members, since each may be home of the pod or become
/// it, and each answers how much of its own runs there. Control thread.
class FleetWithdrawals {
 public:
  struct Parts {
    runtime::Shard& control;
    const LiveDeployments& live;
    /// Sends a note to one member, or to all. May throw std::bad_alloc.
    std::function<absl::Status(const std::optional<std::string>& member, const fleet::Note& note)> tell;
    std::function<std::set<std::string>()> members;  // ids; this process among them
    std::function<std::string()> own_id;
  };
  explicit FleetWithdrawals(Parts parts) : parts_(std::move(parts)), here_(parts_.control, parts_.live) {}

  /// The leader: these pods, by LiveReplica::pod, get no new exchange for so long, 1 to 30 s; to be renewed each second. A pod
  /// that was named before and is not any more is given back at once. No pods, and none before: nothing is sent. Fails if
  /// these are more pods than scaling::kWithdrawnMax. Throws std::bad_alloc.
  absl::Status withdraw(const std::set<std::string>& pods, std::chrono::seconds how_long);
  /// Exchanges of all members at a pod that `withdraw` has named; nothing: not all members have answered since, or it has not
  /// named it. Once 0, it stays 0 as long as it is renewed in time.
  std::optional<std::uint64_t> running(const std::string& pod) const;

  // Notes. What is not understood, or comes from a process that is no member, is ignored.
  void hear_withdraw(const std::string& member, const fleet::Note& note);
  void hear_running(const std::string& member, const fleet::Note& note);

  const Withdrawals& here() const { return here_; }
  void stop() noexcept { here_.stop(); }

 private:
  std::map<std::string, std::uint64_t> running_here(const scaling::WithdrawNote& withdraw) const;

  const Parts parts_;
  Withdrawals here_;
  std::uint64_t round_ = 0;
  std::map<std::string, std::uint64_t> since_;           // by pod that is named: the first round that has named it
  std::map<std::string, scaling::RunningNote> answers_;  // by member: the newest
};

}  // namespace router::serving

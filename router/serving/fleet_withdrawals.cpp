#include "router/serving/fleet_withdrawals.h"

#include <absl/status/statusor.h>

#include <utility>

namespace router::serving {

absl::Status FleetWithdrawals::withdraw(const std::set<std::string>& pods, std::chrono::seconds how_long) {
  if (pods.empty() && since_.empty()) return absl::OkStatus();
  const scaling::WithdrawNote note{{pods.begin(), pods.end()}, how_long.count(), ++round_};
  const absl::StatusOr<std::string> body = scaling::encode_withdraw(note);
  if (!body.ok()) return body.status();
  here_.say(parts_.own_id(), pods, how_long);
  std::erase_if(since_, [&pods](const auto& each) { return !pods.contains(each.first); });
  for (const std::string& pod : pods) since_.try_emplace(pod, round_);
  const std::set<std::string> members = parts_.members();
  std::erase_if(answers_, [&members](const auto& each) { return !members.contains(each.first); });
  return parts_.tell(std::nullopt, {.topic = std::string(scaling::kWithdrawTopic), .key = "pods", .body = *body});
}

std::optional<std::uint64_t> FleetWithdrawals::running(const std::string& pod) const {
  const auto since = since_.find(pod);
  if (since == since_.end()) return std::nullopt;
  std::uint64_t sum = here_.running(pod);
  const std::string own = parts_.own_id();
  for (const std::string& member : parts_.members()) {
    if (member == own) continue;
    const auto answer = answers_.find(member);
    if (answer == answers_.end() || answer->second.round < since->second) return std::nullopt;
    const auto count = answer->second.pods.find(pod);
    if (count == answer->second.pods.end()) return std::nullopt;
    sum += count->second;
  }
  return sum;
}

std::map<std::string, std::uint64_t> FleetWithdrawals::running_here(const scaling::WithdrawNote& withdraw) const {
  std::map<std::string, std::uint64_t> running;
  for (const std::string& pod : withdraw.pods) running.emplace_hint(running.end(), pod, here_.running(pod));
  return running;
}

void FleetWithdrawals::hear_withdraw(const std::string& member, const fleet::Note& note) {
  const absl::StatusOr<scaling::WithdrawNote> withdraw = scaling::decode_withdraw(note.body);
  if (!withdraw.ok() || !parts_.members().contains(member)) return;
  here_.say(member, {withdraw->pods.begin(), withdraw->pods.end()}, std::chrono::seconds(withdraw->seconds));
  const absl::StatusOr<std::string> body = scaling::encode_running({withdraw->round, running_here(*withdraw)});
  if (!body.ok()) return;
  // A failure is none of this process: the leader asks again.
  static_cast<void>(parts_.tell(member, {.topic = std::string(scaling::kRunningTopic), .key = "pods", .body = *body}));
}

void FleetWithdrawals::hear_running(const std::string& member, const fleet::Note& note) {
  absl::StatusOr<scaling::RunningNote> running = scaling::decode_running(note.body);
  if (!running.ok() || running->round > round_ || !parts_.members().contains(member)) return;
  scaling::RunningNote& known = answers_[member];
  if (running->round >= known.round) known = *std::move(running);
}

}  // namespace router::serving

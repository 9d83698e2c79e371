#pragma once

#include <absl/status/statusor.h>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "router/scaling/signals.h"

/// The bodies of the notes by which the members of a fleet scale together (decision 0075). Text, because a note carries text;
/// lines of fields, because numbers come back exactly. Whatever is not exactly as it is written here is refused as a whole: its
/// sender has another version, and nothing is concluded from it. Pure functions.
namespace router::scaling {

inline constexpr std::string_view kSignalsTopic = "signals";
inline constexpr std::string_view kWakeTopic = "wake";
inline constexpr std::string_view kStartsTopic = "starts";
inline constexpr std::string_view kWithdrawTopic = "withdraw";
inline constexpr std::string_view kRunningTopic = "running";

inline constexpr std::size_t kSignalsTextMax = 64 * 1024;  // bytes of one body
inline constexpr std::size_t kPodsTextMax = 128 * 1024;    // bytes of a body that names pods
inline constexpr std::size_t kWithdrawnMax = 1024;         // pods of one body
inline constexpr std::size_t kPodIdMax = 320;              // bytes
inline constexpr std::int64_t kWithdrawnFor = 30;          // seconds, at most: a leader that dies leaves no pod without work

/// A deployment as every member knows it. Names as the resource spells them: 1 to 32 letters, digits and dashes; the namespace
/// at most 63 small letters, digits and dashes, and empty for a file.
struct DeploymentName {
  std::string name_space;
  std::string endpoint;
  std::string deployment;
  auto operator<=>(const DeploymentName&) const = default;
};

/// `namespace/endpoint/deployment`: the key of its note.
std::string text_of(const DeploymentName& name);

/// What a member counted. The note's key is the number of the body: a newer one replaces an older one that was not delivered.
using SignalsNote = std::map<DeploymentName, Signal>;
/// As many bodies as are needed, none for no deployment. Values are finite and not negative, names as above.
std::vector<std::string> encode_signals(const SignalsNote& signals);
absl::StatusOr<SignalsNote> decode_signals(std::string_view body);

/// A request waits for a first replica: the sender holds so many.
struct WakeNote {
  DeploymentName of;
  std::uint32_t waking = 0;
  bool operator==(const WakeNote&) const = default;
};
std::string encode_wake(const WakeNote& wake);
absl::StatusOr<WakeNote> decode_wake(std::string_view body);

/// What the leader says of a deployment that may be scaled to zero.
struct StartNote {
  bool holds = false;    // requests are held while no replica is ready
  Seconds pod_start{0};  // how long a start usually takes
  Seconds asked_for{0};  // how long the oldest replica has been asked for that is not ready; 0: none
  bool operator==(const StartNote&) const = default;
};
/// As signals: the note's key is the number of the body.
using StartsNote = std::map<DeploymentName, StartNote>;
std::vector<std::string> encode_starts(const StartsNote& starts);
absl::StatusOr<StartsNote> decode_starts(std::string_view body);

/// These pods get no new exchange for so long, counted from the arrival. Replaces what the sender said before: a pod that is
/// not named is withdrawn no more.
struct WithdrawNote {
  std::vector<std::string> pods;  // as LiveReplica::pod: `namespace/identity`; in ascending order, none twice
  std::int64_t seconds = 0;       // 1 to kWithdrawnFor
  std::uint64_t round = 0;        // rises with each of this sender
  bool operator==(const WithdrawNote&) const = default;
};
/// Fails if the note exceeds a bound: name fewer pods.
absl::StatusOr<std::string> encode_withdraw(const WithdrawNote& withdraw);
absl::StatusOr<WithdrawNote> decode_withdraw(std::string_view body);

/// The answer, when the sender has obeyed: how many exchanges of its run at each of these pods.
struct RunningNote {
  std::uint64_t round = 0;                    // of the WithdrawNote
  std::map<std::string, std::uint64_t> pods;  // all that it named
  bool operator==(const RunningNote&) const = default;
};
/// Fails if the note exceeds a bound.
absl::StatusOr<std::string> encode_running(const RunningNote& running);
absl::StatusOr<RunningNote> decode_running(std::string_view body);

}  // namespace router::scaling

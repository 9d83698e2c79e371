#pragma once

#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "router/fleet/roster.h"

namespace router::fleet {

inline constexpr std::size_t kFrameMax = 1024 * 1024;           // bytes
inline constexpr std::size_t kBusyPodsMax = 4096;               // pods of one report
inline constexpr std::size_t kBusyTextMax = kFrameMax * 5 / 8;  // bytes of one report; the rest of a beat has room beside it
inline constexpr std::size_t kDeathsMax = 256;                  // proofs that are passed on; the oldest are dropped

/// The first frame of each side of a link: who I am.
struct Hello {
  std::string id;
  std::string pod_uid;
  std::string address;
  std::int64_t started = 0;
  Protocols protocols;
  bool operator==(const Hello&) const = default;
};

/// How the end of a member became known. kBye: it has ended its last exchange and said so. kForgotten: an operator says so.
enum class Proof { kLaterProcess, kRefused, kBye, kForgotten };

struct Death {
  std::string id;
  Proof proof = Proof::kRefused;
  bool operator==(const Death&) const = default;
};

/// A request to acknowledge `id` no more, or the promise of it. The round tells two requests for the same member apart.
struct Vote {
  std::string id;
  std::uint64_t round = 0;
  bool operator==(const Vote&) const = default;
};

/// Connections to pods that the sender has open though it is not home of their namespaces.
using BusyPods = std::vector<std::pair<std::string, std::uint32_t>>;

/// What each side says every 250 ms, and at once when something has changed. Everything in it is true at its sending.
struct Beat {
  std::uint64_t number = 0;         // rises with each beat of this sender, over all its links
  std::uint64_t echo = 0;           // the newest beat that was received from the receiver of this one
  Epoch epoch;                      // the sender's roster
  bool acknowledges = false;        // the echoed beat counts for the receiver's coverage (rule 5)
  bool serving = false;             // fixed peers: the sender may be home
  bool sees_you = false;            // fixed peers: the sender knows that the receiver may be home
  bool unlisted = false;            // fixed peers: the receiver is not in the sender's list
  std::uint64_t list = 0;           // fixed peers: names the sender's list, and its members that the list lacks
  bool resigned = false;            // the sender is home of nothing any more (rule 13)
  std::optional<Roster> roster;     // if the receiver has an older one
  std::uint64_t busy_revision = 0;  // of the sender's busy numbers; 0: not known at this epoch yet
  std::uint64_t busy_seen = 0;      // the newest revision that was received
  std::optional<BusyPods> busy;     // until the receiver has seen the revision; a pod that is missing has none
  std::vector<Vote> votes;          // members that the sender wants to take out (rule 7)
  std::vector<Vote> promises;       // votes of the receiver that the sender has followed
  std::vector<Death> deaths;        // proofs (rule 8)
  bool operator==(const Beat&) const = default;
};

/// The sender has ended its last exchange and closes its links.
struct Bye {
  bool operator==(const Bye&) const = default;
};

/// A frame of a later version: ignored.
struct UnknownFrame {
  bool operator==(const UnknownFrame&) const = default;
};

using Frame = std::variant<UnknownFrame, Hello, Beat, Bye>;

/// JSON texts, without the length before them. A busy report is the same for all receivers and may be long: it is encoded once
/// (`encode_busy`) and put into each beat as text, in place of `beat.busy`.
std::string encode(const Hello& hello);
std::string encode(const Beat& beat, std::string_view busy_text = {});
std::string encode(const Bye& bye);
std::string encode_busy(const BusyPods& busy);

/// A frame from a peer. An error means that the peer does not keep the protocol: the link is to be ended. Every count and
/// length is bounded; unknown frames and fields are ignored.
absl::StatusOr<Frame> decode_frame(std::string_view text);

}  // namespace router::fleet

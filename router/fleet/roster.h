#pragma once

#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace router::fleet {

inline constexpr std::size_t kMembersMax = 64;
inline constexpr std::size_t kRosterTextMax = 200 * 1024;  // bytes; the API server takes 256 KiB of annotations
inline constexpr std::size_t kNameMax = 320;               // bytes of an id, a uid or an address

/// Names one roster. The number rises by one with each write. Two writers may reach the same number if the Lease was deleted
/// between their writes, so the writer's id is part of the name.
struct Epoch {
  std::uint64_t number = 0;  // 0: no roster yet
  std::string writer;
  bool operator==(const Epoch&) const = default;
};

/// The protocol versions that a member speaks, both ends included.
struct Protocols {
  std::uint32_t min = 1;
  std::uint32_t max = 1;
  bool operator==(const Protocols&) const = default;
};
inline bool overlap(Protocols a, Protocols b) { return a.min <= b.max && b.min <= a.max; }

enum class MemberState { kJoining, kServing, kLeaving };
std::string_view name_of(MemberState state);

/// One process. A restarted router is another member.
struct Member {
  std::string id;            // pod name and 64 random bits
  std::string pod_uid;       // of the Pod; with fixed peers the advertised address
  std::string address;       // host:port of the fleet's port
  std::int64_t started = 0;  // ns of CLOCK_REALTIME at the start: orders the processes of one Pod, nothing else
  Protocols protocols;
  MemberState state = MemberState::kJoining;
  bool operator==(const Member&) const = default;
};

/// The members of one epoch. It never changes; each write makes the next one, which differs in one member.
struct Roster {
  Epoch epoch;
  std::uint64_t unproven = 0;  // the newest epoch that took out a member whose end was not proven
  std::uint64_t mended = 0;    // the newest epoch that replaced a Lease which was lost or restored old
  std::vector<Member> members;

  const Member* find(std::string_view id) const;
  std::size_t serving() const;  // the number of serving members
  std::size_t majority() const { return serving() / 2 + 1; }
  bool operator==(const Roster&) const = default;
};

/// The value of the Lease's annotation. Fields that are not known are ignored. The error says what is wrong, in words.
std::string encode(const Roster& roster);
absl::StatusOr<Roster> decode_roster(std::string_view text);

}  // namespace router::fleet

#pragma once

#include <absl/status/statusor.h>

#include <cstddef>
#include <string>
#include <string_view>

namespace router::fleet {

inline constexpr std::size_t kNoteTopicMax = 32;         // characters, of a to z
inline constexpr std::size_t kNoteKeyMax = 256;          // characters, of visible ASCII
inline constexpr std::size_t kNoteBodyMax = 256 * 1024;  // bytes

/// What one member tells another beside the protocol: the autoscaler's counters, for example. It may be lost, and says nothing
/// about the sender's coverage, its epoch or its homes: the machine does not see it. A router that does not know notes ignores
/// it as a frame of a later version.
struct Note {
  std::string topic;  // whom it is for, in the other process
  std::string key;    // not empty: replaces an undelivered note of the same sender, topic and key
  std::string body;   // UTF-8
  bool operator==(const Note&) const = default;
};

/// A frame. Fails if the note exceeds a bound, or does not fit into a frame because much of it has to be escaped.
absl::StatusOr<std::string> encode(const Note& note);

/// Whether a frame is a note, told by its first bytes: a beat is not parsed twice for it.
bool is_note(std::string_view frame);

/// The note in a frame from a peer. Every length is bounded; fields of later versions are ignored.
absl::StatusOr<Note> decode_note(std::string_view frame);

}  // namespace router::fleet

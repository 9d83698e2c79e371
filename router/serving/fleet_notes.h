#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "router/fleet/note.h"

namespace router::serving {

/// A note and the id of its sender. A process that was restarted has another id.
struct HeardNote {
  std::string member;
  fleet::Note note;
};

/// Since the start.
struct FleetNoteCounts {
  std::uint64_t sent = 0;     // to one member each
  std::uint64_t skipped = 0;  // not sent: too much waits for that member
  std::uint64_t heard = 0;    // of topics that this process wants
  std::uint64_t dropped = 0;  // heard, but not delivered: no memory, not understood, or too many before control took them
};

/// Notes that wait for control. A note with a key replaces the one before it in its place; of others the oldest are dropped. So
/// a control that is busy finds the newest state, and nothing piles up. The fleet's thread.
class NoteBox {
 public:
  static constexpr std::size_t kNotesMax = 64;                             // of one member and topic
  static constexpr std::size_t kBytesMax = std::size_t{2} * 1024 * 1024;   // of one member and topic
  static constexpr std::size_t kTotalMax = std::size_t{32} * 1024 * 1024;  // bytes

  /// Notes of other topics are ignored.
  void want(const std::string& topic) { topics_.insert(topic); }
  bool wants(const std::string& topic) const { return topics_.contains(topic); }

  /// Returns how many notes were dropped for it, or it itself. Throws std::bad_alloc; then nothing has changed.
  std::size_t put(const std::string& member, fleet::Note note);
  std::size_t bytes() const { return bytes_; }
  /// All notes, in the order of their arrival; the box is empty then. Throws std::bad_alloc; then nothing has changed.
  std::vector<HeardNote> take();

 private:
  struct Waiting {
    std::uint64_t order = 0;
    HeardNote heard;
  };
  struct Source {
    std::deque<Waiting> notes;  // in order
    std::size_t bytes = 0;
  };
  static std::size_t size_of(const fleet::Note& note) { return note.key.size() + note.body.size(); }
  static Waiting* find(Source& source, const std::string& key);
  void drop_oldest(Source& source) noexcept;

  std::set<std::string> topics_;
  std::map<std::pair<std::string, std::string>, Source> sources_;  // by member and topic
  std::size_t bytes_ = 0;
  std::uint64_t last_order_ = 0;
};

}  // namespace router::serving

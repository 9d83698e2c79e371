#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "router/fleet/events.h"
#include "router/fleet/frame.h"
#include "router/fleet/time.h"

namespace router::fleet {

/// Another process, as this one knows it by its links: what was sent to it and when, and what it has said.
class Peer {
 public:
  explicit Peer(BootTime now) : heard_at_(now) {}

  void link_opened(LinkId link, const Hello& hello);
  void link_ended(LinkId link);
  bool linked() const { return !links_.empty(); }
  const std::vector<LinkId>& links() const { return links_; }
  const Hello& hello() const { return hello_; }

  /// A beat with this number goes out. `serial` counts the epochs of this process.
  void sent(std::uint64_t number, std::uint64_t serial, BootTime at);

  /// Whether the beat is newer than all before; then its echo is read. Copies and late frames of an old link are older.
  bool accept(const Beat& beat);
  std::uint64_t newest() const { return newest_; }

  /// When the newest beat that the peer has echoed was sent; at first, when the peer became known.
  BootTime heard_at() const { return heard_at_; }

  /// When the newest beat was sent that the peer has acknowledged at the epoch `serial`.
  BootTime acknowledged_at(std::uint64_t serial) const { return acknowledged_serial_ == serial ? acknowledged_at_ : kLongAgo; }
  void acknowledge(std::uint64_t echo, std::uint64_t serial, bool any_epoch, std::optional<BootTime> instead);

  // What the peer's beats said; the machine keeps it.
  std::uint64_t epoch_number = 0;   // of its newest beat
  std::uint64_t report = 0;         // revision of the busy numbers that are in the book
  std::uint64_t report_serial = 0;  // the epoch at which they are current; 0: none
  std::uint64_t busy_seen = 0;      // the newest own revision that it has
  bool serving = false;             // fixed peers
  bool sees_me = false;             // fixed peers
  bool lists_me = false;            // fixed peers: this process is in its list
  std::uint64_t list = 0;           // fixed peers: names its list, see Beat
  std::uint64_t answers = 0;        // the newest own beat that it had
  std::uint64_t unlisted_from = 0;  // fixed peers: the first own beat which told it that it is in no list here; 0: it is
  bool resigned = false;

 private:
  struct Sent {
    std::uint64_t number = 0;
    std::uint64_t serial = 0;
    BootTime at = kLongAgo;
  };

  const Sent* find(std::uint64_t number) const;

  std::vector<LinkId> links_;
  Hello hello_;
  std::array<Sent, 32> sent_;  // the newest; an echo of an older one proves nothing
  std::size_t next_sent_ = 0;
  std::uint64_t newest_ = 0;
  BootTime heard_at_;
  std::uint64_t acknowledged_serial_ = 0;
  BootTime acknowledged_at_ = kLongAgo;
};

}  // namespace router::fleet

#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "router/fleet/assignment.h"
#include "router/fleet/machine.h"
#include "router/fleet/time.h"
#include "router/fleet_link/links.h"
#include "router/serving/fleet_notes.h"

namespace router::serving {

/// What the fleet's thread tells control: the newest state, not the changes.
struct FleetNews {
  std::shared_ptr<const fleet::Assignment> assignment;  // never null
  fleet::Report report;
  fleet_link::LinkCounts links;
  std::vector<std::pair<std::string, std::chrono::microseconds>> round_trips{};  // by address, of the members with a link
  FleetNoteCounts notes{};
  bool must_cut = false;
  bool may_leave = false;
  std::uint64_t served = 0;  // Served events that the assignment takes into account
};

/// Decides when there are news. At once: another assignment, `must_cut`, `may_leave`, a Served event. Within 50 ms: another
/// readiness. The rest of a report changes with every beat, so it is told again after 125 ms, with the next event: the beats
/// make that 250 ms. The fleet's thread.
class FleetReporter {
 public:
  /// `machine` outlives this.
  explicit FleetReporter(const fleet::Machine& machine) : machine_(machine) {}

  /// The news, if they are due. Ask after every event. If it throws std::bad_alloc, they are still due.
  std::optional<FleetNews> news(fleet::BootTime now, const fleet_link::LinkCounts& links);
  /// The machine has handled a Served event.
  void note_served() { ++served_; }
  /// When to ask again, even if nothing has happened.
  fleet::BootTime ask_at() const { return ask_at_; }
  /// Control could not take the last news: they are due again, after a moment.
  void not_taken(fleet::BootTime now);

 private:
  FleetNews make(fleet::Report report, const fleet_link::LinkCounts& links) const;
  bool is_urgent() const;

  const fleet::Machine& machine_;
  std::shared_ptr<const fleet::Assignment> told_assignment_;
  bool told_must_cut_ = false;
  bool told_may_leave_ = false;
  bool told_ready_ = false;
  std::uint64_t served_ = 0;
  std::uint64_t told_served_ = 0;
  fleet::BootTime told_at_ = fleet::kLongAgo;
  fleet::BootTime looked_at_ = fleet::kLongAgo;  // a report was made: it costs more than an event
  fleet::BootTime ask_at_ = fleet::kAlways;
  fleet::BootTime pause_until_ = fleet::kLongAgo;
};

}  // namespace router::serving

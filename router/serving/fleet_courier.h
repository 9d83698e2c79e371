#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "router/fleet/events.h"
#include "router/runtime/shard.h"
#include "router/serving/fleet_log.h"
#include "router/serving/fleet_news.h"
#include "router/serving/fleet_notes.h"

namespace router::serving {

/// What the fleet's thread has for control at one moment.
struct FleetLetter {
  std::optional<FleetNews> news;
  std::optional<fleet::Action> lease;  // LeaseGet, LeasePut or LeaseStamp
  std::vector<FleetLine> lines;
  std::vector<HeardNote> notes{};
  bool empty() const { return !news && !lease && lines.empty() && notes.empty(); }
};

/// Brings letters from the fleet's thread to control, and comes back: there is one message, so a control that is busy gets the
/// newest news once, and nothing piles up. Sending needs no memory. The letter belongs to the thread that has the courier, so
/// nothing is shared. Destroyed on control, after the fleet's thread has ended.
class FleetCourier final : private runtime::Message {
 public:
  /// `deliver` runs on control and takes what it has done out of the letter. `returned` runs on the fleet's thread, with the
  /// rest. Exceptions are logged.
  using Work = std::function<void(FleetLetter&)>;
  FleetCourier(runtime::Shard& fleet, runtime::Shard& control, Work deliver, Work returned);
  FleetCourier(const FleetCourier&) = delete;
  FleetCourier& operator=(const FleetCourier&) = delete;

  /// The fleet's thread: whether the courier can be sent.
  bool is_home() const { return is_home_; }
  void send(FleetLetter letter) noexcept;
  /// After the fleet's thread has ended: what was not delivered.
  FleetLetter& letter() { return letter_; }

 private:
  void run() override;
  void dropped() noexcept override {}

  runtime::Shard& fleet_;
  runtime::Shard& control_;
  const Work deliver_;
  const Work returned_;
  FleetLetter letter_;  // these three are used on the thread that has the courier
  bool delivered_ = false;
  bool is_home_ = true;
};

}  // namespace router::serving

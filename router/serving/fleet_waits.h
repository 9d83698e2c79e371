#pragma once

#include <vector>

#include "config/config.h"
#include "router/fleet/events.h"

namespace router::serving {

/// How long what runs at pods with a limit may go on, and how long a pod may need to notice that it was cut (fleet.md, G and
/// A). A deployment whose requests may take up to 30 s is given that time; one whose requests may take longer is cut after it.
class FleetWaits {
 public:
  /// `running_grace`: fleet.running_grace_s, the least G.
  explicit FleetWaits(std::chrono::milliseconds running_grace) : waits_{running_grace, kAbortWaitLeast} {}

  /// A deployment whose requests go to pods with a limit.
  void add(const config::Deployment& deployment);
  const fleet::Waits& waits() const { return waits_; }

 private:
  static constexpr std::chrono::milliseconds kAbortWaitLeast{250};
  fleet::Waits waits_;
};

FleetWaits waits_of(const config::Config& config);

}  // namespace router::serving

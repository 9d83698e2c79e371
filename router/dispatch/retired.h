#pragma once

#include <memory>
#include <vector>

#include "router/dispatch/pod_slots.h"

namespace router::dispatch {

/// What an operation under the queue's mutex has retired, for after it: destructors may close connections, and another queue
/// is told only while no mutex is held. Nothing is allocated for it.
struct Retired {
  CargoList cargo;
  std::vector<std::shared_ptr<Replica>> replicas;
  SlotNotices notices;
};

}  // namespace router::dispatch

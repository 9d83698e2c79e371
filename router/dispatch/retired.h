#pragma once

#include <memory>
#include <vector>

#include "router/dispatch/pod_slots.h"

namespace router::dispatch {

/// What an operation under the queue's mutex leaves to be done after it: destructors may close connections, and notices to
/// other queues are delivered only while no mutex is held. Allocates nothing.
struct Retired {
  RetiredConnections connections;
  std::vector<std::shared_ptr<Replica>> replicas;
  SlotNotices notices;
};

}  // namespace router::dispatch

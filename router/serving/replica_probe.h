#pragma once

#include <cstddef>
#include <memory>

#include "router/discovery/found_replica.h"
#include "router/discovery/probe.h"
#include "router/dispatch/preemptible_slot.h"
#include "router/serving/live_deployment.h"

namespace router::serving {

/// Takes a slot for a probe. If an idle connection is kept in the slot, it is closed, and the offer says `soon`.
discovery::ProbeSlotOffer take_slot(const std::shared_ptr<dispatch::PodSlots>& pod, std::size_t shard,
                                    std::shared_ptr<dispatch::PreemptibleHolder> holder);

/// Where and how a replica is probed. `live` outlives the probe.
discovery::ProbeTarget probe_target(const LiveDeployment& deployment, const LiveReplica& live,
                                    const discovery::FoundReplica& found);

}  // namespace router::serving

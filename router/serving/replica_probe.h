#pragma once

#include <cstddef>
#include <memory>

#include "router/discovery/found_replica.h"
#include "router/discovery/probe.h"
#include "router/dispatch/preemptible_slot.h"
#include "router/serving/live_deployment.h"

namespace router::serving {

/// A slot without a connection in it, for a probe: one that rests there is closed first.
discovery::ProbeSlotOffer take_slot(const std::shared_ptr<dispatch::PodSlots>& pod, std::size_t shard,
                                    std::shared_ptr<dispatch::PreemptibleHolder> holder);

/// What a probe of a replica asks, and where. `live` outlives the probe.
discovery::ProbeTarget probe_target(const LiveDeployment& deployment, const LiveReplica& live,
                                    const discovery::FoundReplica& found);

}  // namespace router::serving

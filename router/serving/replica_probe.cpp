#include "router/serving/replica_probe.h"

#include <string>
#include <utility>

#include "router/base/host_port.h"
#include "router/upstream/connection.h"

namespace router::serving {

discovery::ProbeSlotOffer take_slot(const std::shared_ptr<dispatch::PodSlots>& pod, std::size_t shard,
                                    std::shared_ptr<dispatch::PreemptibleHolder> holder) {
  discovery::ProbeSlotOffer offer;
  offer.slot = dispatch::PreemptibleSlot::take(pod, shard, std::move(holder));
  if (!offer.slot || offer.slot.entry() == nullptr || offer.slot.entry()->connection == nullptr) return offer;
  static_cast<const upstream::RestingConnection&>(*offer.slot.entry()->connection).close_soon();
  offer.slot.give_back();
  offer.soon = true;
  return offer;
}

discovery::ProbeTarget probe_target(const LiveDeployment& deployment, const LiveReplica& live,
                                    const discovery::FoundReplica& found) {
  discovery::ProbeTarget target;
  target.host = bracketed_host(found.host);
  target.other_family = found.other_family;
  target.prefers_other_family = found.prefers_other_family;
  target.address = found.probe_address;
  target.route = deployment.settings.readiness_route;
  target.settings = deployment.settings.readiness_probe;
  target.exchanges_finished = [replica = live.replica.get()] { return replica->exchanges_finished(); };
  if (deployment.transport != nullptr) {
    // The context of shard 0: threads may share a context, since it does not change.
    target.tls = deployment.transport->contexts.front();
    target.server_name = live.replica->server_name();
  }
  return target;
}

}  // namespace router::serving

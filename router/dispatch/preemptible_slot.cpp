#include "router/dispatch/preemptible_slot.h"

#include "router/dispatch/request_queue.h"

namespace router::dispatch {

PreemptibleSlot PreemptibleSlot::take(std::shared_ptr<PodSlots> pod, std::size_t shard,
                                      std::shared_ptr<PreemptibleHolder> holder) noexcept {
  const PodSlots::Taken taken = pod->take_preemptible(shard, holder.get());
  PreemptibleSlot taken_slot;
  if (!taken.granted) return taken_slot;
  taken_slot.pod_ = std::move(pod);
  taken_slot.entry_ = taken.entry;
  taken_slot.holder_ = std::move(holder);
  return taken_slot;
}

void PreemptibleSlot::give_back() noexcept {
  if (pod_ == nullptr) return;
  const std::shared_ptr<PodSlots> pod = std::move(pod_);
  const std::shared_ptr<PreemptibleHolder> holder = std::move(holder_);
  RetiredConnections retired;
  SlotNotices notices;
  pod->give_back_preemptible(std::exchange(entry_, nullptr), holder.get(), retired, notices);
  RequestQueue::deliver(notices);
}

}  // namespace router::dispatch

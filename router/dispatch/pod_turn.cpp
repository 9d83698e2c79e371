#include "router/dispatch/pod_turn.h"

#include "router/dispatch/request_queue.h"

namespace router::dispatch {

PodTurn PodTurn::take(std::shared_ptr<PodSlots> pod, std::size_t shard, std::shared_ptr<TurnHolder> holder) noexcept {
  const PodSlots::Taken taken = pod->take_turn(shard, holder.get());
  PodTurn turn;
  if (!taken.granted) return turn;
  turn.pod_ = std::move(pod);
  turn.slot_ = taken.slot;
  turn.holder_ = std::move(holder);
  return turn;
}

void PodTurn::give_back() noexcept {
  if (pod_ == nullptr) return;
  const std::shared_ptr<PodSlots> pod = std::move(pod_);
  const std::shared_ptr<TurnHolder> holder = std::move(holder_);
  CargoList retired;
  Heirs heirs;
  pod->give_back_turn(std::exchange(slot_, nullptr), holder.get(), retired, heirs);
  RequestQueue::tell(heirs);
}

}  // namespace router::dispatch

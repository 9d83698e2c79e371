#pragma once

#include <cstddef>
#include <memory>
#include <utility>

#include "router/dispatch/pod_slots.h"

namespace router::dispatch {

/// A slot of a pod that is held by no exchange of any queue, but for a connection of another kind: a probe's. To the queues it
/// is as if one more of them had the pod. It takes no part in a queue's counts and times. Given back when it is destroyed,
/// which cannot fail; who waits for the slot is told then. Move-only. Any thread, without any mutex held.
class PreemptibleSlot {
 public:
  PreemptibleSlot() = default;
  /// Empty if all slots are held, or reserved for those who wait. A pod without limit always has one. `holder`, one of its own
  /// for each turn, is told if an exchange waits for the slot; nullptr: it waits until the turn ends by itself.
  static PreemptibleSlot take(std::shared_ptr<PodSlots> pod, std::size_t shard,
                              std::shared_ptr<PreemptibleHolder> holder = nullptr) noexcept;
  PreemptibleSlot(PreemptibleSlot&& other) noexcept
      : pod_(std::move(other.pod_)), slot_(std::exchange(other.slot_, nullptr)), holder_(std::move(other.holder_)) {}
  PreemptibleSlot& operator=(PreemptibleSlot&& other) noexcept {
    std::swap(pod_, other.pod_);
    std::swap(slot_, other.slot_);
    std::swap(holder_, other.holder_);
    return *this;
  }
  ~PreemptibleSlot() { give_back(); }

  explicit operator bool() const { return pod_ != nullptr; }
  /// With the connection that rests in it; nullptr while the pod is without limit.
  Slot* slot() const { return slot_; }
  void give_back() noexcept;

 private:
  std::shared_ptr<PodSlots> pod_;
  Slot* slot_ = nullptr;
  std::shared_ptr<PreemptibleHolder> holder_;
};

}  // namespace router::dispatch

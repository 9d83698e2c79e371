#pragma once

#include <cstddef>
#include <memory>
#include <utility>

#include "router/dispatch/pod_slots.h"

namespace router::dispatch {

/// A slot of a pod that a probe's connection holds, not an exchange of a queue. To the queues that share the pod, the probe is
/// like one more queue; it is not part of a queue's counts and times. The destructor gives the slot back, which cannot fail,
/// and delivers the notices to queues that wait for it. Move-only. Any thread, without a mutex held.
class PreemptibleSlot {
 public:
  PreemptibleSlot() = default;
  /// Returns an empty object if all slots are held or reserved. A pod without limit always has a slot. `holder`: a new one for
  /// each call; its `preempt` is called if an exchange waits for the slot. nullptr: the exchange waits until the slot is free.
  static PreemptibleSlot take(std::shared_ptr<PodSlots> pod, std::size_t shard,
                              std::shared_ptr<PreemptibleHolder> holder = nullptr) noexcept;
  PreemptibleSlot(PreemptibleSlot&& other) noexcept
      : pod_(std::move(other.pod_)), entry_(std::exchange(other.entry_, nullptr)), holder_(std::move(other.holder_)) {}
  PreemptibleSlot& operator=(PreemptibleSlot&& other) noexcept {
    std::swap(pod_, other.pod_);
    std::swap(entry_, other.entry_);
    std::swap(holder_, other.holder_);
    return *this;
  }
  ~PreemptibleSlot() { give_back(); }

  explicit operator bool() const { return pod_ != nullptr; }
  /// The slot, with the idle connection in it; nullptr if the pod had no limit.
  StockEntry* entry() const { return entry_; }
  void give_back() noexcept;

 private:
  std::shared_ptr<PodSlots> pod_;
  StockEntry* entry_ = nullptr;
  std::shared_ptr<PreemptibleHolder> holder_;
};

}  // namespace router::dispatch

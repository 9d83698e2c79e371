#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "router/dispatch/health.h"
#include "router/dispatch/pod_slots.h"

namespace router::dispatch {

/// A live replica, as far as the queue knows it. `upstream::Replica` derives from it and adds address and TLS. It belongs to
/// one queue, whose mutex protects its mutable members. The slots belong to the pod, since a replica of another queue may be
/// the same pod. It is not ready before the queue's `set_ready`.
class Replica {
 public:
  explicit Replica(std::string name, std::size_t slots, std::shared_ptr<PodSlots> pod = std::make_shared<PodSlots>())
      : pod_(std::move(pod)), name_(std::move(name)), slots_max_(slots) {}
  virtual ~Replica() = default;
  Replica(const Replica&) = delete;
  Replica& operator=(const Replica&) = delete;
  const std::string& name() const { return name_; }  // host:port, for logs and /status
  const std::shared_ptr<PodSlots>& pod() const { return pod_; }

 private:
  friend class Capacity;
  friend class LoadBuckets;
  friend class PodSlots;
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  bool limited() const { return slots_max_ > 0; }
  bool member() const { return member_ != kNone; }
  /// `serves`: whether it takes exchanges at all. `usable`: whether it can take one more now.
  bool serves() const { return member() && ready_ && health_.well(); }
  bool usable() const { return serves() && !waits_for_pod_ && (!limited() || in_use_ < slots_max_); }

  const std::shared_ptr<PodSlots> pod_;
  PodMember pod_member_;
  const std::string name_;
  std::size_t slots_max_;                // the limit of this queue's deployment; 0: no limit
  std::size_t in_use_ = 0;               // held slots of this queue; more than slots_max_ after that was lowered
  bool waits_for_pod_ = false;           // the pod had no free slot; it sends a notice when it has reserved one
  std::size_t awaited_preemptions_ = 0;  // meanwhile: slots that probes can give up (PodSlots::Taken::preemptible)
  bool ready_ = false;
  Health health_;
  bool sheds_ = false;  // it has sent Retry-After: chosen only if no other replica is usable
  TimePoint sheds_until_{};
  std::size_t member_ = kNone;  // its index among the queue's replicas
  bool joined_ = false;         // it has joined its pod; between two operations this is equal to `member()`
  std::size_t bucket_ = kNone;  // its bucket in LoadBuckets
  std::size_t index_ = 0;       // its index in that bucket; `sheds_` selects the LoadBuckets
};

}  // namespace router::dispatch

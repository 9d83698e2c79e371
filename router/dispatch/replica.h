#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "router/dispatch/health.h"
#include "router/dispatch/pod_slots.h"

namespace router::dispatch {

/// A live replica as the queue sees it; upstream derives its own, with address and TLS, from it. It belongs to one queue, and
/// everything mutable here to that queue's mutex, but the slots to the pod: another queue's replica may be the same one. It is
/// not ready until the queue is told so.
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
  /// Whether it serves at all; whether one more exchange, too.
  bool serves() const { return member() && ready_ && health_.well(); }
  bool usable() const { return serves() && !waits_for_pod_ && (!limited() || in_use_ < slots_max_); }

  const std::shared_ptr<PodSlots> pod_;
  PodMember pod_member_;
  const std::string name_;
  std::size_t slots_max_;                // by this queue's deployment; 0 = unlimited
  std::size_t in_use_ = 0;               // held slots of this queue; more than slots_max_ after that was lowered
  bool waits_for_pod_ = false;           // other queues had all of the pod's slots; it tells when there is one
  std::size_t awaited_preemptions_ = 0;  // meanwhile: slots that are given up for who waits (PodSlots::Taken::preemptible)
  bool ready_ = false;
  Health health_;
  bool sheds_ = false;  // it has asked to be left alone: chosen only where no other can be
  TimePoint sheds_until_{};
  std::size_t member_ = kNone;  // its position among the queue's replicas
  bool joined_ = false;         // its pod knows it; as long as it is a member, between two operations
  std::size_t bucket_ = kNone;  // the load under which it may be chosen
  std::size_t index_ = 0;       // inside that bucket; which buckets, `sheds_` says
};

}  // namespace router::dispatch

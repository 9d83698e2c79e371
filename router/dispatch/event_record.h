#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "router/base/time.h"
#include "router/dispatch/replica.h"

namespace router::dispatch {

enum class QueueEvent : std::uint8_t {
  kArrived,    // got a ticket, the highest up to now; is served at once or waits in the queue
  kSentOn,     // the same, but came from another router with an earlier time of arrival
  kWaking,     // it waits, and is held for a first replica
  kReturned,   // returned with its ticket; avoids `replica` while another one serves
  kGranted,    // was bound to a slot of `replica`
  kLeft,       // gave up its position while it waited
  kRefused,    // the queue was closed, or its home has moved away
  kGivenBack,  // the slot of `replica` is no longer held under this ticket
  kCleared,    // a new list of the replicas follows: for each kMember, kReady or kUnready, and the rest of its state
  kMember,     // `value`: slots
  kReady,
  kUnready,
  kSlots,  // `value`
  kEjected,
  kRefusing,
  kReadmitted,  // neither ejected nor refusing
  kPodFull,     // its pod had no free slot
  kPodFree,     // its pod may have one
  kSheds,       // chosen only if no other replica is usable
  kWilling,     // does not shed
  kEnd,         // end of one operation: the queue's invariants hold here
};

struct RecordedEvent {
  QueueEvent event = QueueEvent::kEnd;
  std::uint64_t ticket = 0;
  const Replica* replica = nullptr;  // identity only; may be destroyed
  std::size_t value = 0;
  TimePoint at{};  // the time of its operation, which may be earlier than that of the event before it
};

/// The events of a queue, in order, for tests to replay. Off until a test calls `start`; empty functions without ROUTER_CHECKS.
/// Protected by the queue's mutex.
class EventRecord {
 public:
  static constexpr std::size_t kEventsMax = std::size_t{1} << 20;  // later events are not recorded

#ifdef ROUTER_CHECKS
  void start() {
    events_.reserve(kEventsMax);  // so that `add` cannot fail
    on_ = true;
  }
  /// Of the events that follow.
  void set_time(TimePoint now) { now_ = now; }
  void add(QueueEvent event, std::uint64_t ticket = 0, const Replica* replica = nullptr, std::size_t value = 0) {
    if (on_ && events_.size() < kEventsMax) events_.push_back({event, ticket, replica, value, now_});
  }
  const std::vector<RecordedEvent>& events() const { return events_; }

 private:
  bool on_ = false;
  TimePoint now_{};
  std::vector<RecordedEvent> events_;
#else
  void set_time(TimePoint) {}
  void add(QueueEvent, std::uint64_t = 0, const Replica* = nullptr, std::size_t = 0) {}
#endif
};

}  // namespace router::dispatch

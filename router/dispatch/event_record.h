#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "router/dispatch/replica.h"

namespace router::dispatch {

enum class QueueEvent : std::uint8_t {
  kArrived,    // took a ticket; served at once or in the queue
  kReturned,   // came back with its ticket, to avoid `replica` as long as another one serves
  kGranted,    // was bound to a slot of `replica`
  kLeft,       // gave up its position while it waited
  kRefused,    // the queue was closed
  kGivenBack,  // the slot of `replica` is no longer held under this ticket
  kCleared,    // the replicas follow anew: kMember, kReady or kUnready, and what else there is to say, of each
  kMember,     // `value`: slots
  kReady,
  kUnready,
  kSlots,  // `value`
  kEjected,
  kRefusing,
  kReadmitted,  // neither ejected nor refusing
  kSheds,       // chosen only where no other can be
  kWilling,     // no longer
  kEnd,         // of one operation: here the queue's promises hold
};

struct RecordedEvent {
  QueueEvent event = QueueEvent::kEnd;
  std::uint64_t ticket = 0;
  const Replica* replica = nullptr;  // to tell them apart; may be gone
  std::size_t value = 0;
};

/// What happened in a queue, in order, for tests to replay. Off until a test turns it on; nothing at all without ROUTER_CHECKS.
/// Belongs to the queue's mutex.
class EventRecord {
 public:
  static constexpr std::size_t kEventsMax = std::size_t{1} << 20;  // what comes after is not recorded

#ifdef ROUTER_CHECKS
  void start() {
    events_.reserve(kEventsMax);  // so that what is recorded cannot fail
    on_ = true;
  }
  void add(QueueEvent event, std::uint64_t ticket = 0, const Replica* replica = nullptr, std::size_t value = 0) {
    if (on_ && events_.size() < kEventsMax) events_.push_back({event, ticket, replica, value});
  }
  const std::vector<RecordedEvent>& events() const { return events_; }

 private:
  bool on_ = false;
  std::vector<RecordedEvent> events_;
#else
  void add(QueueEvent, std::uint64_t = 0, const Replica* = nullptr, std::size_t = 0) {}
#endif
};

}  // namespace router::dispatch

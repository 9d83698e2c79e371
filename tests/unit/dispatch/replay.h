#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "router/dispatch/event_record.h"

namespace router::dispatch {

/// Plays the record of a line again with the plainest possible bookkeeping, and finds every broken promise: served in order of
/// tickets, nobody waits while a usable slot is free, never more leases than slots, each ticket ends once.
class Replay {
 public:
  explicit Replay(const std::vector<RecordedEvent>& events) {
    for (const RecordedEvent& event : events) {
      play(event);
      if (testing::Test::HasFailure()) {
        ADD_FAILURE() << "at ticket " << event.ticket;
        return;
      }
    }
  }
  std::size_t served() const { return served_; }
  std::size_t left() const { return left_; }
  std::size_t waiting() const { return waiting_.size(); }
  std::size_t held() const { return held_.size(); }

 private:
  struct Pod {
    bool member = false;
    bool ready = false;
    std::size_t slots = 0;
    std::size_t in_use = 0;
    bool usable() const { return member && ready && (slots == 0 || in_use < slots); }
  };

  void play(const RecordedEvent& event) {
    Pod& pod = pods_[event.replica];
    switch (event.event) {
      case LineEvent::kArrived:
        EXPECT_GT(event.ticket, last_ticket_);
        last_ticket_ = event.ticket;
        waiting_.insert(event.ticket);
        break;
      case LineEvent::kGranted: grant(event.ticket, event.replica); break;
      case LineEvent::kLeft: ++left_; [[fallthrough]];
      case LineEvent::kRefused: EXPECT_EQ(waiting_.erase(event.ticket), 1u); break;
      case LineEvent::kGivenBack: give_back(event.ticket, event.replica); break;
      case LineEvent::kCleared:
        for (auto& [replica, each] : pods_) each.member = each.ready = false;
        break;
      case LineEvent::kMember:
        pod.member = true;
        pod.slots = event.value;
        break;
      case LineEvent::kReady: pod.ready = true; break;
      case LineEvent::kUnready: pod.ready = false; break;
      case LineEvent::kSlots: pod.slots = event.value; break;
      case LineEvent::kEnd: end(); break;
    }
  }
  void grant(std::uint64_t ticket, const Replica* replica) {
    ASSERT_FALSE(waiting_.empty());
    EXPECT_EQ(*waiting_.begin(), ticket) << "somebody was overtaken";
    waiting_.erase(ticket);
    EXPECT_TRUE(pods_[replica].usable());
    for (const auto& [other, pod] : pods_) {
      if (pod.usable()) {
        EXPECT_LE(pods_[replica].in_use, pod.in_use) << "not the least loaded";
      }
    }
    ++pods_[replica].in_use;
    held_[ticket] = replica;
    ++served_;
  }
  void give_back(std::uint64_t ticket, const Replica* replica) {
    ASSERT_EQ(held_.count(ticket), 1u) << "given back twice";
    EXPECT_EQ(held_[ticket], replica);
    held_.erase(ticket);
    --pods_[replica].in_use;
  }
  void end() const {
    if (waiting_.empty()) return;
    for (const auto& [replica, pod] : pods_) EXPECT_FALSE(pod.usable()) << "somebody waits beside a free slot";
  }

  std::map<const Replica*, Pod> pods_;
  std::set<std::uint64_t> waiting_;
  std::map<std::uint64_t, const Replica*> held_;
  std::uint64_t last_ticket_ = 0;
  std::size_t served_ = 0;
  std::size_t left_ = 0;
};

}  // namespace router::dispatch

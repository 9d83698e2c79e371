#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "router/dispatch/event_record.h"
#include "router/dispatch/queue_load.h"

namespace router::dispatch {

/// Replays the record of a queue with the plainest possible bookkeeping, and finds every violated rule: exchanges are served in
/// the order of their tickets, none waits while a slot is free as far as the queue knows, there are never more held slots than
/// slots, each ticket ends once. It also sums up how long each ticket waited and held its slot.
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
  /// Of all tickets that have ended. Not exact to the last digit.
  const QueueIntegrals& integrals() const { return integrals_; }

 private:
  struct Pod {
    bool member = false;
    bool ready = false;
    bool ejected = false;
    bool refusing = false;
    bool sheds = false;
    bool full = false;  // the pod has no slot for this queue, and will tell when it has
    std::size_t slots = 0;
    std::size_t in_use = 0;
    bool serves() const { return member && ready && !ejected && !refusing; }
    bool usable() const { return serves() && !full && (slots == 0 || in_use < slots); }
  };

  /// One stay in the queue or in a slot. `latest_` is the time of the queue's sums: the times of two shards may differ.
  struct Stay {
    TimePoint from{};
    bool waking = false;
  };
  void begin_stay(std::uint64_t ticket) { stays_[ticket] = {latest_, false}; }
  double end_stay(std::uint64_t ticket) {
    const Stay stay = stays_[ticket];
    stays_.erase(ticket);
    return stay.waking ? 0 : std::chrono::duration<double>(latest_ - stay.from).count();
  }

  void play(const RecordedEvent& event) {
    latest_ = std::max(latest_, event.at);
    count(event);
    Pod& pod = pods_[event.replica];
    switch (event.event) {
      case QueueEvent::kArrived:
        EXPECT_GT(event.ticket, last_ticket_);
        last_ticket_ = event.ticket;
        waiting_[event.ticket] = nullptr;
        break;
      case QueueEvent::kSentOn:
        last_ticket_ = std::max(last_ticket_, event.ticket);
        EXPECT_EQ(waiting_.count(event.ticket) + held_.count(event.ticket), 0u) << "two have one ticket";
        waiting_[event.ticket] = nullptr;
        break;
      case QueueEvent::kWaking: EXPECT_EQ(waiting_.count(event.ticket), 1u); break;
      case QueueEvent::kReturned:
        EXPECT_LE(event.ticket, last_ticket_);
        EXPECT_EQ(held_.count(event.ticket), 0u) << "it came back while it held a slot";
        waiting_[event.ticket] = event.replica;
        break;
      case QueueEvent::kGranted: grant(event.ticket, event.replica); break;
      case QueueEvent::kLeft: ++left_; [[fallthrough]];
      case QueueEvent::kRefused: EXPECT_EQ(waiting_.erase(event.ticket), 1u); break;
      case QueueEvent::kGivenBack: give_back(event.ticket, event.replica); break;
      case QueueEvent::kCleared:
        for (auto& [replica, each] : pods_) each.member = each.ready = false;
        break;
      case QueueEvent::kMember:
        pod.member = true;
        pod.full = false;
        pod.slots = event.value;
        break;
      case QueueEvent::kReady: pod.ready = true; break;
      case QueueEvent::kUnready: pod.ready = false; break;
      case QueueEvent::kEjected: pod.ejected = true; break;
      case QueueEvent::kRefusing: pod.refusing = true; break;
      case QueueEvent::kReadmitted: pod.ejected = pod.refusing = false; break;
      case QueueEvent::kPodFull: pod.full = true; break;
      case QueueEvent::kPodFree: pod.full = false; break;
      case QueueEvent::kSheds: pod.sheds = true; break;
      case QueueEvent::kWilling: pod.sheds = false; break;
      case QueueEvent::kSlots: pod.slots = event.value; break;
      case QueueEvent::kEnd: end(); break;
    }
  }
  void count(const RecordedEvent& event) {
    switch (event.event) {
      case QueueEvent::kArrived:
      case QueueEvent::kSentOn:
      case QueueEvent::kReturned: begin_stay(event.ticket); break;
      case QueueEvent::kWaking: stays_[event.ticket].waking = true; break;
      case QueueEvent::kLeft:
      case QueueEvent::kRefused: integrals_.waiting += end_stay(event.ticket); break;
      case QueueEvent::kGranted:
        integrals_.waiting += end_stay(event.ticket);
        begin_stay(event.ticket);
        granted_[event.ticket] = event.at;
        break;
      case QueueEvent::kGivenBack:
        integrals_.busy += end_stay(event.ticket);
        integrals_.held += std::chrono::duration<double>(event.at - granted_[event.ticket]).count();
        ++integrals_.returns;
        granted_.erase(event.ticket);
        break;
      default: break;
    }
  }
  /// Whether an exchange that avoids `avoided` may be bound to `replica` now.
  bool accepts(const Replica* avoided, const Replica* replica) const {
    if (avoided == nullptr || avoided != replica) return true;
    for (const auto& [other, pod] : pods_) {
      if (other != avoided && pod.serves()) return false;
    }
    return true;
  }
  void grant(std::uint64_t ticket, const Replica* replica) {
    const Pod& chosen = pods_[replica];
    ASSERT_EQ(waiting_.count(ticket), 1u);
    for (const auto& [earlier, avoided] : waiting_) {
      if (earlier >= ticket) break;
      EXPECT_FALSE(accepts(avoided, replica)) << earlier << " was overtaken";
    }
    const Replica* avoided = waiting_[ticket];
    EXPECT_TRUE(accepts(avoided, replica)) << "bound to the replica that it avoids";
    waiting_.erase(ticket);
    EXPECT_TRUE(chosen.usable());
    for (const auto& [other, pod] : pods_) {
      if (!pod.usable() || !accepts(avoided, other)) continue;
      EXPECT_LE(chosen.sheds, pod.sheds) << "chosen although it sheds";
      if (chosen.sheds == pod.sheds) {
        EXPECT_LE(chosen.in_use, pod.in_use) << "not the least loaded";
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
    pods_[replica].full = false;
  }
  void end() const {
    for (const auto& [replica, pod] : pods_) {
      if (!pod.usable()) continue;
      for (const auto& [ticket, avoided] : waiting_) {
        EXPECT_FALSE(accepts(avoided, replica)) << ticket << " waits while a slot is free";
      }
    }
    std::size_t ready = 0;
    std::size_t ejected = 0;
    for (const auto& [replica, pod] : pods_) {
      if (!pod.member || !pod.ready || pod.refusing) continue;
      ++ready;
      if (pod.ejected) ++ejected;
    }
    EXPECT_LE(2 * ejected, ready) << "more than half are ejected";
  }

  std::map<const Replica*, Pod> pods_;
  std::map<std::uint64_t, const Replica*> waiting_;  // by ticket: the replica that it avoids
  std::map<std::uint64_t, const Replica*> held_;
  std::map<std::uint64_t, Stay> stays_;
  std::map<std::uint64_t, TimePoint> granted_;
  TimePoint latest_{};
  QueueIntegrals integrals_;
  std::uint64_t last_ticket_ = 0;
  std::size_t served_ = 0;
  std::size_t left_ = 0;
};

}  // namespace router::dispatch

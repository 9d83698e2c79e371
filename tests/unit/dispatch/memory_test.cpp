#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "router/dispatch/request_queue.h"
#include "tests/support/failing_memory.h"
#include "tests/unit/dispatch/queue_world.h"
#include "tests/unit/dispatch/replay.h"

namespace router::dispatch {
namespace {

using namespace std::chrono_literals;
using test::FailingMemory;
using test::TestShard;
using Outcome = ReplicaReport::Outcome;

/// Three queues: one with two replicas of its own, two that share a pod. Visitors enter, wait, are served and leave, and
/// replicas fail, refuse and change.
class World {
 public:
  World() {
    held_.reserve(128);
#ifdef ROUTER_CHECKS
    own_->start_record();
#endif
    own_->set_replicas({first_, second_});
    own_->set_ready(first_, true);
    own_->set_ready(second_, true);
    blue_->set_replicas({shared_blue_});
    blue_->set_ready(shared_blue_, true);
    green_->set_replicas({shared_green_});
    green_->set_ready(shared_green_, true);
  }

  void enter(std::size_t index, const std::shared_ptr<RequestQueue>& queue, std::size_t shard,
             const QueuePosition& position = {}) {
    visitors_[index].emplace(*queue, shard == 0 ? here_ : there_, kNever, position);
  }
  void leave(std::size_t index) {
    if (visitors_[index]) visitors_[index]->leave();
  }
  /// Gives back the first slot in `held_` that belongs to the replica `of`.
  void give_back(const std::shared_ptr<Replica>& of, Outcome outcome, Duration sheds = {}) {
    for (HeldSlot& held_slot : held_) {
      if (!held_slot || &held_slot.replica() != of.get()) continue;
      held_slot.report().outcome = outcome;
      if (sheds > Duration{}) held_slot.report().sheds_until = clock_.now() + sheds;
      return held_slot.give_back();
    }
  }
  /// Takes the slots that were granted, and leaves a connection in each of them, from one shard or the other.
  void take() {
    here_.poll();
    there_.poll();
    for (std::optional<Visitor>& visitor : visitors_) {
      if (!visitor) continue;
      if (visitor->entry.held_slot) keep(std::move(visitor->entry.held_slot));
      if (!visitor->waits()) continue;
      Result<HeldSlot> held_slot = visitor->look();
      if (held_slot && *held_slot) keep(std::move(*held_slot));
      if (!held_slot) visitor->leave();
    }
  }
  void finish() {
    for (int round = 0; round < 50; ++round) {
      take();
      for (HeldSlot& held_slot : held_) held_slot.give_back();
    }
    std::size_t waiting = 0;
    for (std::optional<Visitor>& visitor : visitors_) {
      if (visitor && visitor->waits() && visitor->look() && visitor->leave().held_slot) ++waiting;
      visitor.reset();
    }
    EXPECT_EQ(waiting, 0u) << "a slot was granted without a notice";
    take();
    for (const std::shared_ptr<RequestQueue>& queue : {own_, blue_, green_}) {
      EXPECT_EQ(queue->demand().waiting, 0u);
      EXPECT_EQ(queue->demand().slots_in_use, 0u);
    }
    EXPECT_EQ(first_->pod()->in_use() + second_->pod()->in_use() + pod_->in_use(), 0u);
#ifdef ROUTER_CHECKS
    const Replay replay(own_->recorded());
    EXPECT_EQ(replay.held() + replay.waiting(), 0u);
    EXPECT_GT(replay.served(), 0u);
#endif
    for (const std::shared_ptr<RequestQueue>& queue : {own_, blue_, green_}) queue->close();
    EXPECT_EQ(connections_, 0u);
  }

  // Declared first, so that the counter is destroyed after the connections.
  std::atomic<std::size_t> connections_ = 0;
  ManualClock clock_;
  TestShard here_{0};
  TestShard there_{1};
  const std::shared_ptr<Replica> first_ = make_replica(2, "first:1");
  const std::shared_ptr<Replica> second_ = make_replica(1, "second:1");
  const std::shared_ptr<Replica> third_ = make_replica(3, "third:1");
  const std::shared_ptr<PodSlots> pod_ = std::make_shared<PodSlots>();
  const std::shared_ptr<Replica> shared_blue_ = std::make_shared<Replica>("pod:1", 1, pod_);
  const std::shared_ptr<Replica> shared_green_ = std::make_shared<Replica>("pod:1", 1, pod_);
  std::size_t looks_ = 0;
  const std::shared_ptr<RequestQueue> own_ = make_queue(64, clock_, std::make_shared<TestWatcher>([this] { ++looks_; }));
  const std::shared_ptr<RequestQueue> blue_ = make_queue(64, clock_);
  const std::shared_ptr<RequestQueue> green_ = make_queue(64, clock_);
  const std::shared_ptr<Replica> big_ = make_replica(40, "big:1");
  const std::vector<std::shared_ptr<Replica>> one_{second_};
  const std::vector<std::shared_ptr<Replica>> two_{first_, second_};
  const std::vector<std::shared_ptr<Replica>> with_big_{second_, big_};
  const std::vector<std::shared_ptr<Replica>> three_{first_, second_, third_};

 private:
  void keep(HeldSlot held_slot) {
    if (held_slot.entry() != nullptr && held_slot.entry()->connection == nullptr) {
      held_slot.entry()->connection = std::make_unique<TestConnection>(held_.size() % 5, connections_);
    }
    for (HeldSlot& free : held_) {
      if (!free) {
        free = std::move(held_slot);
        return;
      }
    }
    held_.push_back(std::move(held_slot));
  }

  std::vector<HeldSlot> held_;
  std::array<std::optional<Visitor>, 64> visitors_;
};

struct Step {
  const char* name;
  std::function<void(World&)> act;
  bool needs_none = false;  // the step gives something back, and must need no memory
};

struct Steps {
  void act(const char* name, std::function<void(World&)> what) { all.push_back({name, std::move(what)}); }
  void give(const char* name, std::function<void(World&)> what) { all.push_back({name, std::move(what), true}); }
  void take() {
    act("take", [](World& world) { world.take(); });
  }

  std::vector<Step> all;
};

void add_waiting(Steps& to) {
  to.act("three replicas while all slots are free", [](World& world) { world.own_->set_replicas(world.three_); });
  to.act("enter", [](World& world) { world.enter(60, world.own_, 0); });
  to.act("two replicas", [](World& world) { world.own_->set_replicas(world.two_); });
  for (std::size_t index = 0; index < 8; ++index) {
    to.act("enter", [index](World& world) { world.enter(index, world.own_, index % 2); });
  }
  for (std::size_t index = 8; index < 11; ++index) {
    to.act("enter the blue queue", [index](World& world) { world.enter(index, world.blue_, index % 2); });
    to.act("enter the green queue", [index](World& world) { world.enter(index + 4, world.green_, index % 2); });
  }
  to.take();
  to.give("leave while it waits", [](World& world) { world.leave(7); });
  to.give("give back", [](World& world) { world.give_back(world.first_, Outcome::kSucceeded); });
  to.give("leave while the grant is on its way", [](World& world) { world.leave(3); });
  to.take();
  to.give("give back what another queue wants", [](World& world) { world.give_back(world.shared_blue_, Outcome::kSucceeded); });
  to.take();
  to.give("and back", [](World& world) { world.give_back(world.shared_green_, Outcome::kNone); });
  to.take();
}

/// Adds five failures in a row of one replica, each by an exchange of its own.
void add_failures(Steps& to) {
  to.give("a replica refuses", [](World& world) { world.give_back(world.second_, Outcome::kRefused); });
  to.act("enter", [](World& world) { world.enter(16, world.own_, 1); });
  to.give("readmit", [](World& world) { world.own_->readmit(world.second_); });
  to.take();
  for (std::size_t count = 0; count < Health::kFailuresMax; ++count) {
    to.give("fail", [](World& world) { world.give_back(world.second_, Outcome::kFailed); });
    to.act("enter", [count](World& world) { world.enter(17 + count, world.own_, count % 2); });
    to.take();
  }
  to.give("shed", [](World& world) { world.give_back(world.first_, Outcome::kSucceeded, 100ms); });
}

void add_changes(Steps& to) {
  to.act("three replicas", [](World& world) { world.own_->set_replicas(world.three_); });
  to.act("the third is ready", [](World& world) { world.own_->set_ready(world.third_, true); });
  to.take();
  to.act("more slots", [](World& world) { world.own_->set_slots(world.third_, 20); });
  to.act("fewer slots", [](World& world) { world.own_->set_slots(world.third_, 1); });
  to.act("slots of the shared pod", [](World& world) { world.blue_->set_slots(world.shared_blue_, 3); });
  to.act("one replica", [](World& world) { world.own_->set_replicas(world.one_); });
  to.act("enter", [](World& world) { world.enter(24, world.own_, 0); });
  to.act("enter", [](World& world) { world.enter(25, world.own_, 1); });
  to.take();
  to.act("a big replica", [](World& world) { world.own_->set_replicas(world.with_big_); });
  to.give("the small one is ready", [](World& world) { world.own_->set_ready(world.second_, true); });
  for (std::size_t index = 26; index < 60; ++index) {
    to.act("enter", [index](World& world) { world.enter(index, world.own_, index % 2); });
  }
  to.give("it serves all at once", [](World& world) { world.own_->set_ready(world.big_, true); });
  to.take();
  to.act("without it", [](World& world) { world.own_->set_replicas(world.one_); });
  to.give("shedding ends", [](World& world) {
    world.clock_.advance(1s);
    world.give_back(world.second_, Outcome::kSucceeded);
  });
  to.give("not ready", [](World& world) { world.own_->set_ready(world.second_, false); });
  to.give("ready", [](World& world) { world.own_->set_ready(world.second_, true); });
  to.take();
  to.give("close", [](World& world) { world.green_->close(); });
  to.take();
}

std::vector<Step> steps() {
  Steps steps;
  add_waiting(steps);
  add_failures(steps);
  add_changes(steps);
  return std::move(steps.all);
}

/// Runs all steps. Memory fails in step `failing`. Returns whether an allocation failed.
bool run(const std::vector<Step>& all, std::size_t failing, std::size_t served, std::size_t count) {
  World world;
  bool failed = false;
  for (std::size_t number = 0; number < all.size(); ++number) {
    if (number != failing) {
      all[number].act(world);
      continue;
    }
    const FailingMemory memory(served, count);
    try {
      all[number].act(world);
    } catch (const std::bad_alloc&) {
    }
    failed = memory.failed() > 0;
  }
  world.finish();
  return failed;
}

TEST(RequestQueueMemory, LosesNoSlotAndNoWaiterWhereverMemoryFails) {
  const std::vector<Step> all = steps();
  std::size_t failures = 0;
  for (std::size_t step = 0; step < all.size() && !testing::Test::HasFailure(); ++step) {
    if (std::string(all[step].name) == "take") continue;  // belongs to the test, not to the queue
    for (std::size_t served = 0; !testing::Test::HasFailure(); ++served) {
      SCOPED_TRACE(std::string(all[step].name) + ", step " + std::to_string(step) + ", request " + std::to_string(served));
      const bool once = run(all, step, served, 1);
      const bool from_then_on = run(all, step, served, FailingMemory::kAll);
      if (!once && !from_then_on) break;
      ++failures;
      EXPECT_LT(served, 100u);
    }
  }
  EXPECT_GT(failures, 10u);
}

TEST(RequestQueueMemory, NeedsNoneForWhatGivesBack) {
  const std::vector<Step> all = steps();
  for (std::size_t step = 0; step < all.size(); ++step) {
    if (!all[step].needs_none) continue;
    SCOPED_TRACE(std::string(all[step].name) + ", step " + std::to_string(step));
    EXPECT_FALSE(run(all, step, 0, FailingMemory::kAll)) << "it allocated memory";
  }
}

#ifndef ROUTER_SANITIZED
TEST(RequestQueueMemory, NeedsNoneToWaitOnceItHasRunForAWhile) {
  TestShard shard{0};
  const std::shared_ptr<RequestQueue> queue = make_queue({make_replica(1)});
  std::size_t served = 0;
  const auto come_and_go = [&] {
    std::array<std::optional<Visitor>, 4> visitors;
    for (std::optional<Visitor>& visitor : visitors) visitor.emplace(*queue, shard);
    visitors[3]->leave();
    HeldSlot held = std::move(visitors[0]->entry.held_slot);
    for (std::size_t index = 1; index < 3; ++index) {
      held.give_back();
      held = std::move(*visitors[index]->poll());
      served += held ? 1 : 0;
    }
  };
  come_and_go();
  {
    const FailingMemory none(0);
    for (int times = 0; times < 100; ++times) come_and_go();
    EXPECT_EQ(none.failed(), 0u);
  }
  EXPECT_EQ(served, 202u);
}
#endif

}  // namespace
}  // namespace router::dispatch

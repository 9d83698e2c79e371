#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "router/dispatch/membership.h"
#include "router/dispatch/preemptible_slot.h"
#include "router/dispatch/request_queue.h"
#include "tests/unit/dispatch/queue_world.h"

// Slots that the fleet withholds, and what it is told about a pod.
namespace router::dispatch {
namespace {

using test::TestShard;

/// An idle connection that its shard has not closed yet when the object that stands for it is destroyed.
class SlowConnection final : public StockedConnection {
 public:
  explicit SlowConnection(std::optional<LooseConnection>& open) : open_(open) {}
  std::size_t shard() const override { return 0; }
  void retired(LooseConnection loose) noexcept override { open_.emplace(std::move(loose)); }

 private:
  std::optional<LooseConnection>& open_;
};

/// A pod of a process that is a member of a fleet.
struct WithheldSlots : testing::Test {
  std::shared_ptr<Replica> replica(std::size_t slots) { return std::make_shared<Replica>("pod:5001", slots, pod); }
  HeldSlot granted(const Visitor& visitor) {
    Result<HeldSlot> held_slot = visitor.poll();
    return held_slot ? std::move(*held_slot) : HeldSlot();
  }
  void withhold(std::size_t slots) { RequestQueue::set_withheld(*pod, slots); }

  TestShard shard{0};
  const std::shared_ptr<Membership> membership = std::make_shared<Membership>(1);
  const std::shared_ptr<PodSlots> pod = std::make_shared<PodSlots>(1, PodSlots::Transport::kOneExchange, membership);
};

TEST_F(WithheldSlots, AreAllOfANewPodUntilTheFleetSaysOtherwise) {
  const auto queue = make_queue({replica(2)});
  Visitor first(*queue, shard);
  EXPECT_TRUE(first.waits());
  EXPECT_FALSE(queue->take_idle(shard));
  withhold(0);
  EXPECT_TRUE(granted(first));
}

TEST_F(WithheldSlots, AreNoneWithoutAFleet) {
  const PodSlots alone;
  EXPECT_EQ(alone.membership(), nullptr);
  const auto queue = make_queue({make_replica(1)});
  EXPECT_TRUE(Visitor(*queue, shard).entry.held_slot);
}

TEST_F(WithheldSlots, ServeWaitersInOrderOfArrivalWhenTheyBecomeFree) {
  const auto queue = make_queue({replica(3)});
  std::vector<std::unique_ptr<Visitor>> visitors;
  for (int count = 0; count < 4; ++count) visitors.push_back(std::make_unique<Visitor>(*queue, shard));
  withhold(2);
  const HeldSlot first = granted(*visitors[0]);
  EXPECT_TRUE(first);
  EXPECT_FALSE(granted(*visitors[1]));
  withhold(0);
  const HeldSlot second = granted(*visitors[1]);
  const HeldSlot third = granted(*visitors[2]);
  EXPECT_TRUE(second && third);
  EXPECT_FALSE(granted(*visitors[3])) << "more exchanges than slots";
  EXPECT_EQ(pod->busy(), 3u);
}

TEST_F(WithheldSlots, AreNotTakenFromTheirHolders) {
  withhold(0);
  const auto queue = make_queue({replica(1)});
  Visitor holder(*queue, shard);
  ASSERT_TRUE(holder.entry.held_slot);
  withhold(PodSlots::kAll);
  const Visitor waits(*queue, shard);
  EXPECT_EQ(pod->busy(), 1u);
  holder.entry.held_slot.give_back();
  EXPECT_EQ(pod->busy(), 0u);
  EXPECT_FALSE(granted(waits)) << "given back, but withheld by now";
  withhold(0);
  EXPECT_TRUE(granted(waits));
}

TEST_F(WithheldSlots, GoToTheQueuesInRotation) {
  const auto first = make_queue({replica(2)});
  const auto second = make_queue({replica(2)});
  Visitor a(*first, shard);
  Visitor b(*first, shard);
  const Visitor c(*second, shard);
  withhold(1);
  HeldSlot of_first = granted(a);
  ASSERT_TRUE(of_first);
  withhold(0);
  const HeldSlot of_second = granted(c);
  EXPECT_TRUE(of_second) << "the second queue is next, although two of the first one came sooner";
  EXPECT_FALSE(granted(b));
}

TEST_F(WithheldSlots, StayWithheldWhenTheLimitChanges) {
  const auto member = replica(1);
  const auto queue = make_queue({member});
  const Visitor waits(*queue, shard);
  queue->set_slots(member, 4);
  EXPECT_FALSE(granted(waits));
  withhold(3);
  const HeldSlot held = granted(waits);
  EXPECT_TRUE(held);
  queue->set_slots(member, 1);
  const Visitor next(*queue, shard);
  EXPECT_TRUE(next.waits()) << "three are withheld, and there is one";
}

TEST_F(WithheldSlots, DoNotConcernAPodWithoutALimit) {
  const auto member = replica(0);
  const auto queue = make_queue({member});
  Visitor served(*queue, shard);
  ASSERT_TRUE(served.entry.held_slot);
  EXPECT_EQ(served.entry.held_slot.membership(), nullptr) << "nothing may be cut";
  EXPECT_EQ(pod->busy(), 1u);
  queue->set_slots(member, 2);
  const Visitor limited(*queue, shard);
  EXPECT_TRUE(limited.waits());
  EXPECT_EQ(pod->busy(), 1u) << "what began without a limit counts until it ends";
}

TEST_F(WithheldSlots, HaveNoIdleConnectionAndCountItUntilItIsClosed) {
  withhold(0);
  const auto queue = make_queue({replica(2)});
  std::optional<LooseConnection> open;
  {
    Visitor visitor(*queue, shard);
    visitor.entry.held_slot.entry()->connection = std::make_unique<SlowConnection>(open);
  }
  EXPECT_EQ(pod->busy(), 1u) << "the pod sees an idle connection";
  withhold(1);
  EXPECT_FALSE(open) << "one slot is left, and its connection with it";
  withhold(PodSlots::kAll);
  ASSERT_TRUE(open);
  EXPECT_EQ(pod->busy(), 1u) << "retired, but not closed";
  open.reset();
  EXPECT_EQ(pod->busy(), 0u);
}

TEST_F(WithheldSlots, AreNotForProbes) {
  const auto queue = make_queue({replica(1)});
  membership->coverage().set_until(Coverage::kAlways);
  EXPECT_FALSE(PreemptibleSlot::take(pod, 0)) << "a router that is not the home does not probe";
  withhold(0);
  const auto holder = std::make_shared<TestHolder>();
  const PreemptibleSlot probe = PreemptibleSlot::take(pod, 0, holder);
  EXPECT_TRUE(probe);
  EXPECT_EQ(pod->busy(), 1u);
  withhold(PodSlots::kAll);
  EXPECT_EQ(holder->times, 1) << "the probe ends, so that the next home need not wait for it";
}

TEST_F(WithheldSlots, AreNotForProbesOfAProcessThatIsNotCovered) {
  const auto limited = replica(1);
  const auto queue = make_queue({limited});
  withhold(0);
  EXPECT_FALSE(PreemptibleSlot::take(pod, 0)) << "control may have stood still, like the process, and not know of it yet";
  queue->set_slots(limited, 0);
  EXPECT_TRUE(PreemptibleSlot::take(pod, 0)) << "a pod without a limit needs no coverage";
}

}  // namespace
}  // namespace router::dispatch

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <vector>

#include "router/dispatch/request_queue.h"
#include "tests/unit/dispatch/queue_world.h"

namespace router::dispatch {
namespace {

using test::TestShard;

struct ChoiceTest : testing::Test {
  static HeldSlot take_slot(const std::shared_ptr<RequestQueue>& queue, TestShard& on) {
    Visitor visitor(*queue, on);
    EXPECT_FALSE(visitor.waits());
    return std::move(visitor.entry.held_slot);
  }
  HeldSlot take_slot(const std::shared_ptr<RequestQueue>& queue) { return take_slot(queue, here); }
  std::unique_ptr<Cargo> cargo_of(std::size_t shard, const RequestQueue* queue = nullptr) {
    return std::make_unique<TestCargo>(shard, alive, queue);
  }

  std::atomic<std::size_t> alive = 0;
  TestShard here{0};
  TestShard there{1};
};

TEST_F(ChoiceTest, TakesTheLeastLoadedReplica) {
  const std::shared_ptr<Replica> small = make_replica(2, "small:1");
  const std::shared_ptr<Replica> large = make_replica(0, "large:1");
  const std::shared_ptr<RequestQueue> queue = make_queue({small, large});
  std::vector<HeldSlot> held;
  std::map<const Replica*, int> load;
  for (int count = 0; count < 4; ++count) {
    held.push_back(take_slot(queue));
    ++load[&held.back().replica()];
  }
  EXPECT_EQ(load[small.get()], 2);
  EXPECT_EQ(load[large.get()], 2);
  for (int count = 0; count < 200; ++count) {  // `large` gets them: enough for several words of its bits
    held.push_back(take_slot(queue));
    EXPECT_EQ(&held.back().replica(), large.get());
  }
  for (HeldSlot& one : held) {
    if (&one.replica() == small.get()) {
      one.give_back();
      break;
    }
  }
  EXPECT_EQ(&take_slot(queue).replica(), small.get());
}

TEST_F(ChoiceTest, BreaksTiesAtRandom) {
  std::vector<std::shared_ptr<Replica>> pods;
  for (int count = 0; count < 4; ++count) pods.push_back(make_replica(1));
  const std::shared_ptr<RequestQueue> queue = make_queue(pods);
  std::map<const Replica*, int> chosen;
  for (int count = 0; count < 4000; ++count) ++chosen[&take_slot(queue).replica()];
  for (const std::shared_ptr<Replica>& pod : pods) {
    EXPECT_GT(chosen[pod.get()], 850);  // 1000 are expected; the bounds are five and a half standard deviations away
    EXPECT_LT(chosen[pod.get()], 1150);
  }
}

TEST_F(ChoiceTest, FindsAReplicaAgainAfterItsLoadWentUpAndDown) {
  const std::shared_ptr<Replica> pod = make_replica(500);
  const std::shared_ptr<RequestQueue> queue = make_queue({pod});
  std::vector<HeldSlot> held;
  for (int count = 0; count < 500; ++count) held.push_back(take_slot(queue));
  EXPECT_TRUE(Visitor(*queue, here).waits());
  held.pop_back();
  held.push_back(take_slot(queue));
  queue->set_ready(pod, false);
  held.erase(held.begin(), held.begin() + 450);
  queue->set_ready(pod, true);
  EXPECT_TRUE(take_slot(queue));
}

TEST_F(ChoiceTest, FindsWhatWasLeftInTheSlot) {
  const std::shared_ptr<RequestQueue> queue = make_queue({make_replica(1)});
  const Cargo* left = nullptr;
  {
    const HeldSlot held = take_slot(queue);
    held.slot()->cargo = cargo_of(0);
    left = held.slot()->cargo.get();
  }
  EXPECT_EQ(take_slot(queue).slot()->cargo.get(), left);
}

TEST_F(ChoiceTest, PrefersACargoOfTheOwnShardThenASlotWithoutThenAny) {
  const std::shared_ptr<RequestQueue> queue = make_queue({make_replica(3)});
  {
    const HeldSlot first = take_slot(queue);
    const HeldSlot second = take_slot(queue);
    first.slot()->cargo = cargo_of(0);
    second.slot()->cargo = cargo_of(1);
  }
  const HeldSlot own = take_slot(queue, there);
  ASSERT_NE(own.slot()->cargo, nullptr);
  EXPECT_EQ(own.slot()->cargo->shard(), 1u);
  const HeldSlot blank = take_slot(queue, there);
  EXPECT_EQ(blank.slot()->cargo, nullptr);
  const HeldSlot any = take_slot(queue, there);
  ASSERT_NE(any.slot()->cargo, nullptr);
  EXPECT_EQ(any.slot()->cargo->shard(), 0u);
}

TEST_F(ChoiceTest, NeverHasMoreSlotsWithCargoThanTheReplicaHasSlots) {
  const std::shared_ptr<Replica> pod = make_replica(2);
  const std::shared_ptr<RequestQueue> queue = make_queue({pod});
  for (int count = 0; count < 10; ++count) {
    const HeldSlot first = take_slot(queue, count % 2 == 0 ? here : there);
    const HeldSlot second = take_slot(queue, count % 3 == 0 ? here : there);
    if (!first.slot()->cargo) first.slot()->cargo = cargo_of(count % 2);
    if (!second.slot()->cargo) second.slot()->cargo = cargo_of(count % 3);
    EXPECT_LE(alive, 2u);
  }
}

TEST_F(ChoiceTest, RetiresSurplusCargoOutsideTheMutex) {
  const std::shared_ptr<Replica> pod = make_replica(3);
  const std::shared_ptr<RequestQueue> queue = make_queue({pod});
  {
    std::vector<HeldSlot> held;
    for (int count = 0; count < 3; ++count) {
      held.push_back(take_slot(queue));
      held.back().slot()->cargo = cargo_of(0, queue.get());
    }
  }
  EXPECT_EQ(alive, 3u);
  queue->set_slots(pod, 2);
  EXPECT_EQ(alive, 2u);
  HeldSlot held = take_slot(queue);
  queue->set_slots(pod, 1);
  EXPECT_EQ(alive, 1u) << "the cargo of the held slot stays";
  held.give_back();
  EXPECT_EQ(alive, 1u);
  queue->set_slots(pod, 0);
  EXPECT_EQ(alive, 0u) << "a replica without limit has no slots";
}

TEST_F(ChoiceTest, RetiresTheCargoOfAReplicaThatIsGone) {
  const std::shared_ptr<Replica> pod = make_replica(2);
  const std::shared_ptr<RequestQueue> queue = make_queue({pod});
  HeldSlot held = take_slot(queue);
  take_slot(queue).slot()->cargo = cargo_of(0, queue.get());
  held.slot()->cargo = cargo_of(0, queue.get());
  queue->set_replicas({});
  EXPECT_EQ(alive, 1u) << "only the cargo of the idle slot is retired";
  held.give_back();
  EXPECT_EQ(alive, 0u);
}

TEST_F(ChoiceTest, RetiresIdleCargoWhenItIsClosed) {
  const std::shared_ptr<RequestQueue> queue = make_queue({make_replica(1)});
  take_slot(queue).slot()->cargo = cargo_of(0, queue.get());
  queue->close();
  EXPECT_EQ(alive, 0u);
}

TEST_F(ChoiceTest, LetsADeadCargoBeTakenOutOfAFreeSlot) {
  const std::shared_ptr<Replica> pod = make_replica(1);
  const std::shared_ptr<RequestQueue> queue = make_queue({pod});
  HeldSlot held = take_slot(queue);
  Slot& slot = *held.slot();
  slot.cargo = cargo_of(0);
  const Cargo* dead = slot.cargo.get();
  std::unique_ptr<Cargo> out;
  EXPECT_FALSE(pod->pod()->take_cargo(slot, dead, out)) << "the cargo of a held slot belongs to its holder";
  held.give_back();
  EXPECT_FALSE(pod->pod()->take_cargo(slot, nullptr, out));
  std::atomic<std::size_t> elsewhere = 0;
  const TestCargo another(0, elsewhere);
  EXPECT_FALSE(pod->pod()->take_cargo(slot, &another, out));
  EXPECT_EQ(out, nullptr);
  EXPECT_TRUE(pod->pod()->take_cargo(slot, dead, out));
  EXPECT_EQ(out.get(), dead);
  EXPECT_FALSE(pod->pod()->take_cargo(slot, dead, out));
  EXPECT_EQ(take_slot(queue).slot()->cargo, nullptr);
}

TEST_F(ChoiceTest, KeepsTheAddressOfASlotWhileItsReplicaLives) {
  const std::shared_ptr<Replica> pod = make_replica(1);
  const std::shared_ptr<RequestQueue> queue = make_queue({pod});
  Slot* slot = take_slot(queue).slot();
  queue->set_slots(pod, 0);
  queue->set_slots(pod, 1000);
  queue->set_slots(pod, 1);
  EXPECT_EQ(take_slot(queue).slot(), slot);
  queue->set_replicas({});
  std::unique_ptr<Cargo> out;
  const std::unique_ptr<Cargo> expected = cargo_of(0);
  EXPECT_FALSE(pod->pod()->take_cargo(*slot, expected.get(), out));
}

}  // namespace
}  // namespace router::dispatch

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
  std::unique_ptr<StockedConnection> connection_of(std::size_t shard, const RequestQueue* queue = nullptr) {
    return std::make_unique<TestConnection>(shard, alive, queue);
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
  const StockedConnection* left = nullptr;
  {
    const HeldSlot held = take_slot(queue);
    held.entry()->connection = connection_of(0);
    left = held.entry()->connection.get();
  }
  EXPECT_EQ(take_slot(queue).entry()->connection.get(), left);
}

TEST_F(ChoiceTest, PrefersAConnectionOfTheOwnShardThenNoneThenAny) {
  const std::shared_ptr<RequestQueue> queue = make_queue({make_replica(3)});
  {
    const HeldSlot first = take_slot(queue);
    const HeldSlot second = take_slot(queue);
    first.entry()->connection = connection_of(0);
    second.entry()->connection = connection_of(1);
  }
  const HeldSlot own = take_slot(queue, there);
  ASSERT_NE(own.entry()->connection, nullptr);
  EXPECT_EQ(own.entry()->connection->shard(), 1u);
  const HeldSlot blank = take_slot(queue, there);
  EXPECT_EQ(blank.entry()->connection, nullptr);
  const HeldSlot any = take_slot(queue, there);
  ASSERT_NE(any.entry()->connection, nullptr);
  EXPECT_EQ(any.entry()->connection->shard(), 0u);
}

TEST_F(ChoiceTest, NeverHasMoreConnectionsThanTheReplicaHasSlots) {
  const std::shared_ptr<Replica> pod = make_replica(2);
  const std::shared_ptr<RequestQueue> queue = make_queue({pod});
  for (int count = 0; count < 10; ++count) {
    const HeldSlot first = take_slot(queue, count % 2 == 0 ? here : there);
    const HeldSlot second = take_slot(queue, count % 3 == 0 ? here : there);
    if (!first.entry()->connection) first.entry()->connection = connection_of(count % 2);
    if (!second.entry()->connection) second.entry()->connection = connection_of(count % 3);
    EXPECT_LE(alive, 2u);
  }
}

TEST_F(ChoiceTest, RetiresSurplusConnectionsOutsideTheMutex) {
  const std::shared_ptr<Replica> pod = make_replica(3);
  const std::shared_ptr<RequestQueue> queue = make_queue({pod});
  {
    std::vector<HeldSlot> held;
    for (int count = 0; count < 3; ++count) {
      held.push_back(take_slot(queue));
      held.back().entry()->connection = connection_of(0, queue.get());
    }
  }
  EXPECT_EQ(alive, 3u);
  queue->set_slots(pod, 2);
  EXPECT_EQ(alive, 2u);
  HeldSlot held = take_slot(queue);
  queue->set_slots(pod, 1);
  EXPECT_EQ(alive, 1u) << "the connection of the held slot stays";
  held.give_back();
  EXPECT_EQ(alive, 1u);
  queue->set_slots(pod, 0);
  EXPECT_EQ(alive, 0u) << "a replica without limit has no slots";
}

TEST_F(ChoiceTest, RetiresTheConnectionsOfAReplicaThatIsGone) {
  const std::shared_ptr<Replica> pod = make_replica(2);
  const std::shared_ptr<RequestQueue> queue = make_queue({pod});
  HeldSlot held = take_slot(queue);
  take_slot(queue).entry()->connection = connection_of(0, queue.get());
  held.entry()->connection = connection_of(0, queue.get());
  queue->set_replicas({});
  EXPECT_EQ(alive, 1u) << "only the connection of the idle slot is retired";
  held.give_back();
  EXPECT_EQ(alive, 0u);
}

TEST_F(ChoiceTest, RetiresIdleConnectionsWhenItIsClosed) {
  const std::shared_ptr<RequestQueue> queue = make_queue({make_replica(1)});
  take_slot(queue).entry()->connection = connection_of(0, queue.get());
  queue->close();
  EXPECT_EQ(alive, 0u);
}

TEST_F(ChoiceTest, LetsADeadConnectionBeTakenOutOfAFreeEntry) {
  const std::shared_ptr<Replica> pod = make_replica(1);
  const std::shared_ptr<RequestQueue> queue = make_queue({pod});
  HeldSlot held = take_slot(queue);
  StockEntry& slot = *held.entry();
  slot.connection = connection_of(0);
  const StockedConnection* dead = slot.connection.get();
  std::unique_ptr<StockedConnection> out;
  EXPECT_FALSE(pod->pod()->take_connection(slot, dead, out)) << "the connection of a held slot belongs to its holder";
  held.give_back();
  EXPECT_FALSE(pod->pod()->take_connection(slot, nullptr, out));
  std::atomic<std::size_t> elsewhere = 0;
  const TestConnection another(0, elsewhere);
  EXPECT_FALSE(pod->pod()->take_connection(slot, &another, out));
  EXPECT_EQ(out, nullptr);
  EXPECT_TRUE(pod->pod()->take_connection(slot, dead, out));
  EXPECT_EQ(out.get(), dead);
  EXPECT_FALSE(pod->pod()->take_connection(slot, dead, out));
  EXPECT_EQ(take_slot(queue).entry()->connection, nullptr);
}

TEST_F(ChoiceTest, KeepsTheAddressOfASlotWhileItsReplicaLives) {
  const std::shared_ptr<Replica> pod = make_replica(1);
  const std::shared_ptr<RequestQueue> queue = make_queue({pod});
  StockEntry* slot = take_slot(queue).entry();
  queue->set_slots(pod, 0);
  queue->set_slots(pod, 1000);
  queue->set_slots(pod, 1);
  EXPECT_EQ(take_slot(queue).entry(), slot);
  queue->set_replicas({});
  std::unique_ptr<StockedConnection> out;
  const std::unique_ptr<StockedConnection> expected = connection_of(0);
  EXPECT_FALSE(pod->pod()->take_connection(*slot, expected.get(), out));
}

}  // namespace
}  // namespace router::dispatch

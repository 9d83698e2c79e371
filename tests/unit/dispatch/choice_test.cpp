#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <vector>

#include "router/dispatch/line.h"
#include "tests/unit/dispatch/line_world.h"

namespace router::dispatch {
namespace {

using test::TestShard;

struct ChoiceTest : testing::Test {
  static Lease lease(const std::shared_ptr<Line>& line, TestShard& on) {
    Visitor visitor(*line, on);
    EXPECT_FALSE(visitor.waits());
    return std::move(visitor.entry.lease);
  }
  Lease lease(const std::shared_ptr<Line>& line) { return lease(line, here); }
  std::unique_ptr<Cargo> cargo_of(std::size_t shard, const Line* line = nullptr) {
    return std::make_unique<TestCargo>(shard, alive, line);
  }

  std::atomic<std::size_t> alive = 0;
  TestShard here{0};
  TestShard there{1};
};

TEST_F(ChoiceTest, TakesTheLeastLoadedReplica) {
  const std::shared_ptr<Replica> small = make_replica(2, "small:1");
  const std::shared_ptr<Replica> large = make_replica(0, "large:1");
  const std::shared_ptr<Line> line = make_line({small, large});
  std::vector<Lease> held;
  std::map<const Replica*, int> load;
  for (int count = 0; count < 4; ++count) {
    held.push_back(lease(line));
    ++load[&held.back().replica()];
  }
  EXPECT_EQ(load[small.get()], 2);
  EXPECT_EQ(load[large.get()], 2);
  for (int count = 0; count < 200; ++count) {  // small is full: over several words of the bucket bits
    held.push_back(lease(line));
    EXPECT_EQ(&held.back().replica(), large.get());
  }
  for (Lease& one : held) {
    if (&one.replica() == small.get()) {
      one.give_back();
      break;
    }
  }
  EXPECT_EQ(&lease(line).replica(), small.get());
}

TEST_F(ChoiceTest, BreaksTiesAtRandom) {
  std::vector<std::shared_ptr<Replica>> pods;
  for (int count = 0; count < 4; ++count) pods.push_back(make_replica(1));
  const std::shared_ptr<Line> line = make_line(pods);
  std::map<const Replica*, int> chosen;
  for (int count = 0; count < 4000; ++count) ++chosen[&lease(line).replica()];
  for (const std::shared_ptr<Replica>& pod : pods) {
    EXPECT_GT(chosen[pod.get()], 850);  // 1000 expected; this is five and a half standard deviations away
    EXPECT_LT(chosen[pod.get()], 1150);
  }
}

TEST_F(ChoiceTest, FindsAReplicaAgainAfterItsLoadWentUpAndDown) {
  const std::shared_ptr<Replica> pod = make_replica(500);
  const std::shared_ptr<Line> line = make_line({pod});
  std::vector<Lease> held;
  for (int count = 0; count < 500; ++count) held.push_back(lease(line));
  EXPECT_TRUE(Visitor(*line, here).waits());
  held.pop_back();
  held.push_back(lease(line));
  line->set_ready(pod, false);
  held.erase(held.begin(), held.begin() + 450);
  line->set_ready(pod, true);
  EXPECT_TRUE(lease(line));
}

TEST_F(ChoiceTest, FindsWhatWasLeftInTheSlot) {
  const std::shared_ptr<Line> line = make_line({make_replica(1)});
  const Cargo* left = nullptr;
  {
    const Lease held = lease(line);
    held.slot()->cargo = cargo_of(0);
    left = held.slot()->cargo.get();
  }
  EXPECT_EQ(lease(line).slot()->cargo.get(), left);
}

TEST_F(ChoiceTest, PrefersACargoOfTheOwnShardThenASlotWithoutThenAny) {
  const std::shared_ptr<Line> line = make_line({make_replica(3)});
  {
    const Lease first = lease(line);
    const Lease second = lease(line);
    first.slot()->cargo = cargo_of(0);
    second.slot()->cargo = cargo_of(1);
  }
  const Lease own = lease(line, there);
  ASSERT_NE(own.slot()->cargo, nullptr);
  EXPECT_EQ(own.slot()->cargo->shard(), 1u);
  const Lease blank = lease(line, there);
  EXPECT_EQ(blank.slot()->cargo, nullptr);
  const Lease any = lease(line, there);
  ASSERT_NE(any.slot()->cargo, nullptr);
  EXPECT_EQ(any.slot()->cargo->shard(), 0u);
}

TEST_F(ChoiceTest, NeverHasMoreSlotsWithCargoThanTheReplicaHasSlots) {
  const std::shared_ptr<Replica> pod = make_replica(2);
  const std::shared_ptr<Line> line = make_line({pod});
  for (int count = 0; count < 10; ++count) {
    const Lease first = lease(line, count % 2 == 0 ? here : there);
    const Lease second = lease(line, count % 3 == 0 ? here : there);
    if (!first.slot()->cargo) first.slot()->cargo = cargo_of(count % 2);
    if (!second.slot()->cargo) second.slot()->cargo = cargo_of(count % 3);
    EXPECT_LE(alive, 2u);
  }
}

TEST_F(ChoiceTest, RetiresSurplusCargoOutsideTheMutex) {
  const std::shared_ptr<Replica> pod = make_replica(3);
  const std::shared_ptr<Line> line = make_line({pod});
  {
    std::vector<Lease> held;
    for (int count = 0; count < 3; ++count) {
      held.push_back(lease(line));
      held.back().slot()->cargo = cargo_of(0, line.get());
    }
  }
  EXPECT_EQ(alive, 3u);
  line->set_slots(pod, 2);
  EXPECT_EQ(alive, 2u);
  Lease held = lease(line);
  line->set_slots(pod, 1);
  EXPECT_EQ(alive, 1u) << "the one in use";
  held.give_back();
  EXPECT_EQ(alive, 1u);
  line->set_slots(pod, 0);
  EXPECT_EQ(alive, 0u) << "a replica without limit has no slots";
}

TEST_F(ChoiceTest, RetiresTheCargoOfAReplicaThatIsGone) {
  const std::shared_ptr<Replica> pod = make_replica(2);
  const std::shared_ptr<Line> line = make_line({pod});
  Lease held = lease(line);
  lease(line).slot()->cargo = cargo_of(0, line.get());
  held.slot()->cargo = cargo_of(0, line.get());
  line->set_replicas({});
  EXPECT_EQ(alive, 1u) << "what was idle";
  held.give_back();
  EXPECT_EQ(alive, 0u);
}

TEST_F(ChoiceTest, RetiresIdleCargoWhenItIsClosed) {
  const std::shared_ptr<Line> line = make_line({make_replica(1)});
  lease(line).slot()->cargo = cargo_of(0, line.get());
  line->close();
  EXPECT_EQ(alive, 0u);
}

TEST_F(ChoiceTest, LetsADeadCargoBeTakenOutOfAFreeSlot) {
  const std::shared_ptr<Replica> pod = make_replica(1);
  const std::shared_ptr<Line> line = make_line({pod});
  Lease held = lease(line);
  Slot& slot = *held.slot();
  slot.cargo = cargo_of(0);
  const Cargo* dead = slot.cargo.get();
  std::unique_ptr<Cargo> out;
  EXPECT_FALSE(pod->pod()->take_cargo(slot, dead, out)) << "leased: it belongs to the holder";
  held.give_back();
  EXPECT_FALSE(pod->pod()->take_cargo(slot, nullptr, out));
  std::atomic<std::size_t> elsewhere = 0;
  const TestCargo another(0, elsewhere);
  EXPECT_FALSE(pod->pod()->take_cargo(slot, &another, out));
  EXPECT_EQ(out, nullptr);
  EXPECT_TRUE(pod->pod()->take_cargo(slot, dead, out));
  EXPECT_EQ(out.get(), dead);
  EXPECT_FALSE(pod->pod()->take_cargo(slot, dead, out));
  EXPECT_EQ(lease(line).slot()->cargo, nullptr);
}

TEST_F(ChoiceTest, KeepsTheAddressOfASlotWhileItsReplicaLives) {
  const std::shared_ptr<Replica> pod = make_replica(1);
  const std::shared_ptr<Line> line = make_line({pod});
  Slot* slot = lease(line).slot();
  line->set_slots(pod, 0);
  line->set_slots(pod, 1000);
  line->set_slots(pod, 1);
  EXPECT_EQ(lease(line).slot(), slot);
  line->set_replicas({});
  std::unique_ptr<Cargo> out;
  const std::unique_ptr<Cargo> expected = cargo_of(0);
  EXPECT_FALSE(pod->pod()->take_cargo(*slot, expected.get(), out));
}

}  // namespace
}  // namespace router::dispatch

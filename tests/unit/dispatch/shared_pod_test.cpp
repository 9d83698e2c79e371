#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <latch>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "router/dispatch/line.h"
#include "router/dispatch/pod_turn.h"
#include "router/runtime/shard_set.h"
#include "router/runtime/task_group.h"
#include "tests/unit/dispatch/line_world.h"

namespace router::dispatch {
namespace {

using namespace std::chrono_literals;
using test::TestShard;

/// One pod that several lines have.
class SharedPod : public ::testing::Test {
 protected:
  std::shared_ptr<Replica> replica(std::size_t slots) { return std::make_shared<Replica>("pod:5001", slots, pod); }
  static bool holds(Visitor& visitor) { return static_cast<bool>(visitor.entry.lease); }
  /// The lease of a visitor who waited.
  Lease granted(Visitor& visitor) {
    shard->poll();
    Result<Lease> lease = visitor.poll();
    return lease ? std::move(*lease) : Lease();
  }

  const std::shared_ptr<PodSlots> pod = std::make_shared<PodSlots>();
  const std::unique_ptr<TestShard> shard = std::make_unique<TestShard>(0);
};

TEST_F(SharedPod, HasNoMoreExchangesThanSlotsFromAllLinesTogether) {
  const auto first = make_line({replica(2)});
  const auto second = make_line({replica(2)});
  Visitor a(*first, *shard);
  Visitor b(*second, *shard);
  EXPECT_TRUE(holds(a) && holds(b));
  Visitor c(*first, *shard);
  Visitor d(*second, *shard);
  EXPECT_TRUE(c.waits() && d.waits());
  EXPECT_FALSE(first->take_idle(*shard));
  EXPECT_EQ(pod->in_use(), 2u);
}

TEST_F(SharedPod, ServesALineWhenASlotFreesInAnother) {
  const auto first = make_line({replica(1)});
  const auto second = make_line({replica(1)});
  Visitor a(*first, *shard);
  Visitor b(*second, *shard);
  ASSERT_TRUE(holds(a) && b.waits());
  a.entry.lease.give_back();
  EXPECT_TRUE(granted(b));
}

TEST_F(SharedPod, IsSharedInTurnsByLinesThatAreBothFull) {
  const auto first = make_line({replica(1)});
  const auto second = make_line({replica(1)});
  std::vector<std::unique_ptr<Visitor>> visitors;
  for (int count = 0; count < 10; ++count) {  // the first line's come first, all of them
    visitors.push_back(std::make_unique<Visitor>(*first, *shard));
  }
  for (int count = 0; count < 10; ++count) visitors.push_back(std::make_unique<Visitor>(*second, *shard));
  std::vector<std::size_t> served;
  Lease held = std::move(visitors.front()->entry.lease);
  while (held) {
    held.give_back();
    for (std::size_t index = 1; index < visitors.size() && !held; ++index) {
      if (!visitors[index]->waits()) continue;
      held = granted(*visitors[index]);
      if (held) served.push_back(index / 10);
    }
  }
  ASSERT_EQ(served.size(), 19u);
  for (std::size_t index = 0; index + 1 < 18; ++index) EXPECT_NE(served[index], served[index + 1]) << index;
}

TEST_F(SharedPod, LendsAFreeSlotForAProbeAndServesWhoCameMeanwhile) {
  const auto line = make_line({replica(1)});
  PodTurn turn = PodTurn::take(pod, 0);
  ASSERT_TRUE(turn);
  EXPECT_NE(turn.slot(), nullptr);
  EXPECT_FALSE(PodTurn::take(pod, 0)) << "there is one";
  EXPECT_EQ(line->demand().slots_in_use, 0u) << "it is no exchange";
  Visitor a(*line, *shard);
  Visitor b(*line, *shard);
  ASSERT_TRUE(a.waits() && b.waits());
  turn.give_back();
  Lease held = granted(a);
  ASSERT_TRUE(held);
  EXPECT_FALSE(PodTurn::take(pod, 0)) << "all are busy, and somebody waits";
  held.give_back();
  EXPECT_FALSE(PodTurn::take(pod, 0)) << "it is on its way to who waits";
  held = granted(b);
  ASSERT_TRUE(held);
  held.give_back();
  turn = PodTurn::take(pod, 0);
  EXPECT_TRUE(turn);
  PodTurn moved = std::move(turn);
  EXPECT_FALSE(turn);
  moved = PodTurn();
  EXPECT_EQ(pod->in_use(), 0u);
}

/// Counts how often it was asked to give its turn up.
class TestHolder final : public TurnHolder {
 public:
  void wanted() noexcept override { ++times; }
  std::atomic<int> times = 0;
};

TEST_F(SharedPod, LetARequestWaitForAsLongAsAProbeWasOpen) {
  const auto line = make_line({replica(1)});
  const auto probe = std::make_shared<TestHolder>();
  PodTurn turn = PodTurn::take(pod, 0, probe);
  EXPECT_FALSE(line->take_idle(*shard));
  EXPECT_EQ(probe->times, 0) << "nobody waits";
  Visitor a(*line, *shard);
  EXPECT_EQ(probe->times, 1);
  Visitor b(*line, *shard);
  ASSERT_TRUE(a.waits() && b.waits());
  EXPECT_FALSE(granted(a)) << "its connection is still open";
  EXPECT_EQ(probe->times, 1) << "once";
  turn.give_back();
  const Lease held = granted(a);
  EXPECT_TRUE(held);
  EXPECT_FALSE(granted(b));
  EXPECT_EQ(probe->times, 1);
  b.leave();
}

TEST_F(SharedPod, RefusedARequestBecauseOfAProbeWhereNobodyMayWait) {
  const auto line = make_line({replica(2)}, 0);
  PodTurn first = PodTurn::take(pod, 0, std::make_shared<TestHolder>());
  PodTurn second = PodTurn::take(pod, 0, std::make_shared<TestHolder>());
  Visitor a(*line, *shard);
  Visitor b(*line, *shard, shard->now());
  Visitor c(*line, *shard);
  EXPECT_TRUE(a.waits() && b.waits()) << "a slot is on its way to each of them";
  EXPECT_EQ(c.refused, Reason::kQueueFull) << "as without probes";
  second.give_back();
  Lease held = granted(a);
  EXPECT_TRUE(held);
  first.give_back();
  Lease other = granted(b);
  EXPECT_TRUE(other);
  Visitor d(*line, *shard);
  EXPECT_EQ(d.refused, Reason::kQueueFull);
}

TEST_F(SharedPod, RefusedARequestBecauseOfAProbeThatNobodyCanEnd) {
  const auto line = make_line({replica(1)}, 0);
  const PodTurn turn = PodTurn::take(pod, 0);
  Visitor a(*line, *shard);
  EXPECT_EQ(a.refused, Reason::kQueueFull) << "it may last";
}

TEST_F(SharedPod, EndedAProbeForARequestThatAnotherReplicaCouldServe) {
  for (int times = 0; times < 20; ++times) {
    const auto line = make_line({replica(1), make_replica(1, "other:5001")});
    const auto probe = std::make_shared<TestHolder>();
    PodTurn turn = PodTurn::take(pod, 0, probe);
    Visitor a(*line, *shard);
    ASSERT_TRUE(holds(a));
    EXPECT_EQ(probe->times, 0);
    Visitor b(*line, *shard);
    EXPECT_TRUE(b.waits());
    EXPECT_EQ(probe->times, 1) << "whichever replica was looked at first";
    a.entry.lease.give_back();
    const Lease held = granted(b);
    EXPECT_TRUE(held) << "whichever comes first";
  }
}

TEST_F(SharedPod, GivesAProbesSlotToEveryLineInTurn) {
  const auto first = make_line({replica(1)}, 0);
  const auto second = make_line({replica(1)}, 0);
  const auto probe = std::make_shared<TestHolder>();
  PodTurn turn = PodTurn::take(pod, 0, probe);
  Visitor a(*first, *shard);
  Visitor b(*second, *shard);
  ASSERT_TRUE(a.waits() && b.waits());
  EXPECT_EQ(probe->times, 1);
  turn.give_back();
  Lease held = granted(a);
  ASSERT_TRUE(held);
  held.give_back();
  EXPECT_TRUE(granted(b));
}

TEST_F(SharedPod, MayLoseItsReplicasWhileAProbeGivesItsSlotUp) {
  const auto first = make_line({replica(1)});
  const auto second = make_line({replica(1)});
  PodTurn turn = PodTurn::take(pod, 0, std::make_shared<TestHolder>());
  Visitor a(*first, *shard);
  Visitor b(*second, *shard);
  ASSERT_TRUE(a.waits() && b.waits());
  first->set_replicas({});
  second->close();
  turn.give_back();
  EXPECT_FALSE(granted(a));
  EXPECT_EQ(pod->in_use(), 0u);
  a.leave();
}

TEST_F(SharedPod, ForgetsAProbeThatHasEndedBeforeARequestCame) {
  const auto line = make_line({replica(1)}, 0);
  const auto probe = std::make_shared<TestHolder>();
  PodTurn::take(pod, 0, probe).give_back();
  Visitor a(*line, *shard);
  EXPECT_TRUE(holds(a));
  EXPECT_EQ(probe.use_count(), 1);
  EXPECT_EQ(probe->times, 0);
}

TEST_F(SharedPod, LendsASlotWithoutEndWhereItHasNoLimit) {
  const auto line = make_line({replica(0)});
  const PodTurn first = PodTurn::take(pod, 0);
  const PodTurn second = PodTurn::take(pod, 0);
  EXPECT_TRUE(first && second);
  EXPECT_EQ(first.slot(), nullptr);
}

/// Two names of one deployment that lead to the same pod, told apart by TLS.
TEST_F(SharedPod, HadItsSlotsTwiceWhereOneLineKnewItByTwoNames) {
  const auto line = make_line({replica(1), replica(1)});
  Visitor a(*line, *shard);
  Visitor b(*line, *shard);
  Visitor c(*line, *shard);
  ASSERT_TRUE(holds(a));
  EXPECT_TRUE(b.waits() && c.waits());
  a.entry.lease.give_back();
  Lease held = granted(b);
  EXPECT_TRUE(held);
  EXPECT_TRUE(c.waits());
  held.give_back();
  held = granted(c);
  EXPECT_TRUE(held);
  held.give_back();
  EXPECT_EQ(pod->in_use(), 0u);
}

TEST_F(SharedPod, HasAsManySlotsAsTheStrictestSays) {
  const auto one = replica(1);
  const auto first = make_line({one});
  const auto second = make_line({replica(3)});
  Visitor a(*second, *shard);
  Visitor b(*second, *shard);
  ASSERT_TRUE(holds(a) && b.waits());
  first->set_slots(one, 2);
  const Lease held = granted(b);
  EXPECT_TRUE(held);
  Visitor c(*second, *shard);
  ASSERT_TRUE(c.waits());
  first->close();
  EXPECT_TRUE(granted(c)) << "the first line's word counts no more";
}

TEST_F(SharedPod, GoesOnToTheNextIfWhoeverItWasSetAsideForIsGone) {
  const auto first = make_line({replica(1)});
  const auto second_replica = replica(1);
  const auto second = make_line({second_replica});
  Visitor a(*first, *shard);
  Visitor b(*second, *shard);
  Visitor c(*first, *shard);
  ASSERT_TRUE(b.waits() && c.waits());
  b.leave();
  a.entry.lease.give_back();  // is offered to the second line first, which wanted it
  EXPECT_TRUE(granted(c));
  EXPECT_EQ(pod->in_use(), 0u);
}

TEST_F(SharedPod, IsNotKeptByALineInWhichItIsNotReady) {
  const auto first = make_line({replica(1)});
  const auto second_replica = replica(1);
  const auto second = make_line({second_replica});
  Visitor a(*first, *shard);
  Visitor b(*second, *shard);
  Visitor c(*first, *shard);
  second->set_ready(second_replica, false);
  a.entry.lease.give_back();
  Lease held = granted(c);
  ASSERT_TRUE(held);
  second->set_ready(second_replica, true);
  held.give_back();
  EXPECT_TRUE(granted(b));
}

TEST_F(SharedPod, KeepsItsConnectionsForEveryLine) {
  std::atomic<std::size_t> alive = 0;
  const auto first = make_line({replica(1)});
  const auto second = make_line({replica(1)});
  {
    Visitor a(*first, *shard);
    a.entry.lease.slot()->cargo = std::make_unique<TestCargo>(0, alive, first.get());
  }
  Visitor b(*second, *shard);
  EXPECT_NE(b.entry.lease.slot()->cargo, nullptr);
  b.entry.lease.give_back();
  first->close();
  EXPECT_EQ(alive, 1u);
  second->close();
  EXPECT_EQ(alive, 0u);
}

TEST_F(SharedPod, IsGivenUpByALineThatEnds) {
  auto first = make_line({replica(1)});
  const auto second = make_line({replica(1)});
  Visitor a(*second, *shard);
  {
    Visitor b(*first, *shard);
    ASSERT_TRUE(b.waits());
  }
  first.reset();
  a.entry.lease.give_back();
  Visitor c(*second, *shard);
  EXPECT_TRUE(holds(c));
}

TEST_F(SharedPod, IsRefusedInEachLineAndWhoWaitsForItAloneWaitsForNoReadyReplica) {
  const auto first = make_line({replica(1)});
  const auto second = make_line({replica(1)});
  Visitor a(*first, *shard);
  Visitor b(*second, *shard);  // behind the other line's exchange
  ASSERT_TRUE(holds(a) && b.waits());
  a.entry.lease.verdict().outcome = Verdict::Outcome::kRefused;
  const Place place_a = a.entry.lease.place();
  a.entry.lease.give_back();
  Lease lease_b = granted(b);
  ASSERT_TRUE(lease_b) << "the slot that the first line cannot use";
  lease_b.verdict().outcome = Verdict::Outcome::kRefused;
  const Place place_b = lease_b.place();
  lease_b.give_back();
  const Visitor again_a(*first, *shard, kNever, place_a);
  const Visitor again_b(*second, *shard, kNever, place_b);
  const Visitor later(*second, *shard);
  ASSERT_TRUE(again_a.waits() && again_b.waits() && later.waits());
  EXPECT_FALSE(again_a.leave().replica_was_ready);
  EXPECT_FALSE(again_b.leave().replica_was_ready);
  EXPECT_FALSE(later.leave().replica_was_ready);
  EXPECT_EQ(pod->in_use(), 0u);
}

constexpr std::size_t kLines = 3;
constexpr std::size_t kPods = 3;

/// Lines that share all of their pods, and everything that may happen to them, in random order.
class SharedWorld {
 public:
  explicit SharedWorld(std::uint64_t seed) : random_(seed) {
    for (std::size_t line = 0; line < kLines; ++line) {
      for (std::size_t pod = 0; pod < kPods; ++pod) {
        slots_[line][pod] = pick(4);
        replicas_[line][pod] = std::make_shared<Replica>("pod:5001", slots_[line][pod], pods_[pod]);
      }
      set_members(line, true);
    }
  }

  void step() {
    const std::array<std::size_t, kPods> before = in_use();
    act();
    const bool settled = pick(2) == 0;
    if (settled) settle();
    for (std::size_t pod = 0; pod < kPods; ++pod) {
      const std::size_t now = pods_[pod]->in_use();
      const std::size_t limit = limit_of(pod);
      if (limit > 0 && now > before[pod]) {
        ASSERT_LE(now, limit) << "more exchanges than slots";
      }
    }
    if (settled) check_idle();
  }

  void finish() {
    guests_.clear();
    settle();
    held_.clear();
    settle();
    for (const auto& pod : pods_) EXPECT_EQ(pod->in_use(), 0u);
    for (auto& line : lines_) {
      EXPECT_EQ(line->demand().slots_in_use, 0u);
      line->close();
    }
    EXPECT_EQ(alive_, 0u);
  }
  std::size_t served() const { return served_; }

 private:
  struct Guest {
    std::size_t line;
    std::unique_ptr<Visitor> visitor;
    std::shared_ptr<Replica> avoided;
  };
  struct Held {
    std::size_t line;
    Lease lease;
  };

  std::size_t pick(std::size_t below) { return std::uniform_int_distribution<std::size_t>(0, below - 1)(random_); }

  void act() {
    const std::size_t line = pick(kLines);
    const std::size_t pod = pick(kPods);
    switch (pick(12)) {
      case 0:
      case 1:
      case 2:
      case 3: return enter(line);
      case 4:
      case 5:
      case 6: return give_back();
      case 7:
        if (!guests_.empty()) guests_.erase(guests_.begin() + static_cast<std::ptrdiff_t>(pick(guests_.size())));
        return;
      case 8:
        ready_[line][pod] = pick(4) > 0;
        if (member_[line][pod]) lines_[line]->set_ready(replicas_[line][pod], ready_[line][pod]);
        return;
      case 9:
        slots_[line][pod] = pick(10) == 0 ? 0 : 1 + pick(3);
        return lines_[line]->set_slots(replicas_[line][pod], slots_[line][pod]);
      case 10: return set_members(line, pick(2) == 0);
      default: return come_back();
    }
  }
  void enter(std::size_t line, const Place& place = {}) {
    auto visitor = std::make_unique<Visitor>(*lines_[line], *shard_, kNever, place);
    if (visitor->entry.lease) {
      hold(line, std::move(visitor->entry.lease));
    } else if (visitor->waits()) {
      guests_.push_back({line, std::move(visitor), place.avoided});
    }
  }
  void hold(std::size_t line, Lease lease) {
    ++served_;
    if (lease.slot() != nullptr && lease.slot()->cargo == nullptr && pick(2) == 0) {
      lease.slot()->cargo = std::make_unique<TestCargo>(0, alive_, lines_[line].get());
    }
    held_.push_back({line, std::move(lease)});
  }
  Held any_held() {
    std::swap(held_[pick(held_.size())], held_.back());
    Held held = std::move(held_.back());
    held_.pop_back();
    return held;
  }
  void give_back() {
    if (!held_.empty()) any_held();
  }
  /// To its place in the line, but not to that pod.
  void come_back() {
    if (held_.empty()) return;
    Held held = any_held();
    const Place place = held.lease.place();
    held.lease.give_back();
    enter(held.line, place);
  }
  void set_members(std::size_t line, bool all) {
    std::vector<std::shared_ptr<Replica>> members;
    for (std::size_t pod = 0; pod < kPods; ++pod) {
      const bool was = std::exchange(member_[line][pod], all || pick(3) > 0);
      if (!was || !member_[line][pod]) ready_[line][pod] = false;
      if (member_[line][pod]) members.push_back(replicas_[line][pod]);
    }
    lines_[line]->set_replicas(members);
    for (std::size_t pod = 0; pod < kPods; ++pod) {
      if (!member_[line][pod] || ready_[line][pod]) continue;
      ready_[line][pod] = true;
      lines_[line]->set_ready(replicas_[line][pod], true);
    }
  }
  void settle() {
    shard_->poll();
    for (std::size_t index = 0; index < guests_.size();) {
      Result<Lease> lease = guests_[index].visitor->poll();
      if (lease && !*lease) {
        ++index;
        continue;
      }
      const std::size_t line = guests_[index].line;
      guests_.erase(guests_.begin() + static_cast<std::ptrdiff_t>(index));
      if (lease) hold(line, std::move(*lease));
    }
  }

  std::array<std::size_t, kPods> in_use() const {
    std::array<std::size_t, kPods> numbers{};
    for (std::size_t pod = 0; pod < kPods; ++pod) numbers[pod] = pods_[pod]->in_use();
    return numbers;
  }
  /// Of the lines whose member it is, the strictest; 0: none.
  std::size_t limit_of(std::size_t pod) const {
    std::size_t limit = 0;
    for (std::size_t line = 0; line < kLines; ++line) {
      const std::size_t slots = member_[line][pod] ? slots_[line][pod] : 0;
      if (slots > 0) limit = limit == 0 ? slots : std::min(limit, slots);
    }
    return limit;
  }
  /// Nobody waits in any line while a pod that may serve him has a slot. Only once everybody has looked.
  void check_idle() const {
    for (const Guest& guest : guests_) {
      for (std::size_t pod = 0; pod < kPods; ++pod) {
        const bool serves = member_[guest.line][pod] && ready_[guest.line][pod];
        if (!serves || replicas_[guest.line][pod] == guest.avoided) continue;
        ASSERT_GT(limit_of(pod), 0u) << "line " << guest.line << " waits beside pod " << pod << ", which has no limit";
        ASSERT_GE(pods_[pod]->in_use(), limit_of(pod)) << "line " << guest.line << " waits beside a slot of pod " << pod;
      }
    }
  }

  std::mt19937_64 random_;
  std::atomic<std::size_t> alive_ = 0;
  std::size_t served_ = 0;
  std::array<std::shared_ptr<PodSlots>, kPods> pods_{std::make_shared<PodSlots>(), std::make_shared<PodSlots>(),
                                                     std::make_shared<PodSlots>()};
  std::array<std::shared_ptr<Line>, kLines> lines_{make_line(8), make_line(8), make_line(8)};
  std::array<std::array<std::shared_ptr<Replica>, kPods>, kLines> replicas_;
  std::array<std::array<std::size_t, kPods>, kLines> slots_{};
  std::array<std::array<bool, kPods>, kLines> member_{};
  std::array<std::array<bool, kPods>, kLines> ready_{};
  std::unique_ptr<TestShard> shard_ = std::make_unique<TestShard>(0);
  std::vector<Held> held_;
  std::vector<Guest> guests_;
};

/// ROUTER_SEED=n repeats a run.
std::uint64_t first_seed() {
  const char* given = std::getenv("ROUTER_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
}

TEST(SharedPods, KeepTheirPromisesInAnyOrderOfEvents) {
  constexpr std::size_t kRounds = 200;
  constexpr std::size_t kEvents = 500;
  const std::uint64_t first = first_seed();
  std::cout << "ROUTER_SEED=" << first << '\n';
  std::size_t served = 0;
  for (std::size_t round = 0; round < kRounds && !testing::Test::HasFailure(); ++round) {
    SCOPED_TRACE("round " + std::to_string(round) + " of ROUTER_SEED=" + std::to_string(first));
    SharedWorld world(first + round);
    for (std::size_t event = 0; event < kEvents && !testing::Test::HasFailure(); ++event) world.step();
    world.finish();
    served += world.served();
  }
  EXPECT_GT(served, kRounds * kEvents / 10);
}

constexpr std::size_t kThreads = 4;
constexpr std::size_t kExchangesEach = 6;  // at a time, on each thread
constexpr std::size_t kTurns = 300;        // of each exchange
constexpr std::size_t kSlots = 2;

struct SharedTraffic {
  std::array<std::shared_ptr<Line>, 2> lines;
  runtime::ShardSet& shards;
  std::latch ended{kThreads * kExchangesEach};
  std::atomic<std::size_t> inside{0};  // of the pod, without the lines' help
  std::atomic<std::size_t> crowded{0};
  std::atomic<std::size_t> cargo{0};
  std::array<std::atomic<std::size_t>, 2> served{};
};

Task<void> hold(SharedTraffic& traffic, Lease lease, runtime::Shard& shard, std::uint64_t dice) {
  if (traffic.inside.fetch_add(1) >= kSlots) ++traffic.crowded;
  runtime::Wakeup wakeup(shard);
  if (dice % 2 == 0) co_await wakeup.wait(shard.now());
  Slot* slot = lease.slot();
  if (!slot->cargo) slot->cargo = std::make_unique<TestCargo>(shard.index(), traffic.cargo);
  const Cargo* left = slot->cargo.get();
  const std::shared_ptr<PodSlots> pod = lease.replica().pod();
  traffic.inside.fetch_sub(1);
  if (dice % 3 == 0) {
    traffic.shards[(shard.index() + 1) % kThreads].post([held = std::move(lease)]() mutable { held.give_back(); });
  } else {
    lease.give_back();
  }
  std::unique_ptr<Cargo> dead;
  if (dice % 5 == 0) pod->take_cargo(*slot, left, dead);
}

Task<void> come_and_go(SharedTraffic& traffic, runtime::Shard& shard) {
  for (std::size_t turn = 0; turn < kTurns; ++turn) {
    const std::uint64_t dice = shard.random() >> 8;
    const std::size_t line = dice / 64 % 2;
    const Deadline deadline = dice % 4 == 0 ? shard.now() + 20us : kNever;
    Result<Lease> lease = co_await acquire(traffic.lines[line], deadline, shard);
    if (!lease) continue;
    ++traffic.served[line];
    co_await hold(traffic, std::move(*lease), shard, dice);
  }
  traffic.ended.count_down();
}

TEST(SharedPods, AreSharedByThreads) {
  const SteadyClock clock;
  runtime::ShardSet shards(kThreads, clock);
  const auto pod = std::make_shared<PodSlots>();
  const auto first = std::make_shared<Replica>("pod:5001", kSlots, pod);
  const auto second = std::make_shared<Replica>("pod:5001", kSlots, pod);
  SharedTraffic traffic{{make_line({first}, 1000), make_line({second}, 1000)}, shards};
  std::vector<std::unique_ptr<runtime::TaskGroup>> groups;
  for (std::size_t index = 0; index < kThreads; ++index) {
    groups.push_back(std::make_unique<runtime::TaskGroup>(shards[index], kExchangesEach));
  }
  shards.post_to_all([&](runtime::Shard& shard) {
    for (std::size_t count = 0; count < kExchangesEach; ++count) {
      groups[shard.index()]->try_spawn(come_and_go(traffic, shard));
    }
  });
  shards.start();
  std::size_t probes = 0;
  for (std::size_t turn = 0; !traffic.ended.try_wait(); ++turn) {  // this is the control thread
    traffic.lines[1]->set_ready(second, turn % 2 == 0);
    traffic.lines[0]->set_slots(first, 1 + turn % 3 % kSlots);
    if (turn % 7 == 0) traffic.lines[1]->set_replicas({second});
    const auto holder = std::make_shared<TestHolder>();
    if (const PodTurn probe = PodTurn::take(pod, kThreads, holder)) {
      ++probes;
      if (traffic.inside.fetch_add(1) >= kSlots) ++traffic.crowded;
      for (int patience = 0; holder->times == 0 && patience < 100; ++patience) std::this_thread::yield();
      traffic.inside.fetch_sub(1);
    }
    std::this_thread::yield();
  }
  shards.join();
  EXPECT_EQ(traffic.crowded, 0u);
  EXPECT_GT(traffic.served[0] + traffic.served[1], kThreads * kExchangesEach * kTurns / 2);
  EXPECT_GT(traffic.served[1], 0u);
  EXPECT_GT(probes, 0u);
  EXPECT_EQ(pod->in_use(), 0u);
  for (const std::shared_ptr<Line>& line : traffic.lines) {
    EXPECT_EQ(line->demand().waiting, 0u);
    line->close();
  }
  EXPECT_EQ(traffic.cargo, 0u);
}

}  // namespace
}  // namespace router::dispatch

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "router/dispatch/request_queue.h"
#include "router/runtime/task_group.h"
#include "tests/unit/dispatch/queue_world.h"
#include "tests/unit/dispatch/replay.h"

#ifdef ROUTER_CHECKS

namespace router::dispatch {
namespace {

using namespace std::chrono_literals;
using test::TestShard;

constexpr std::size_t kShards = 3;
constexpr std::size_t kPods = 4;

enum Kind {
  kEnter,     // the test makes its steps: it looks and leaves at any moment
  kExchange,  // a coroutine with a deadline
  kLook,
  kLeave,
  kDrop,
  kGiveBack,  // with a random report
  kComeBack,  // gives a held slot back, and returns to its position
  kReadmit,
  kReady,
  kSlots,
  kReplicas,
  kOptions,
  kTakeConnection,
  kSentOn,  // comes from another router, with an age
  kWithhold,
  kHome,
  kWaking,   // a first replica is to be started, or not
  kTurn,     // one shard's loop runs
  kAdvance,  // one shard's clock moves on
  kKinds,
};
/// How often each event happens. With these weights the queue is mostly neither empty nor full.
constexpr std::array<double, kKinds> kWeights{12, 12, 6, 4, 3, 24, 6, 4, 5, 4, 2, 2, 4, 4, 4, 2, 2, 12, 6};
using Pairs = std::array<std::array<std::size_t, kKinds>, kKinds>;

/// A visitor that must not be counted twice. It counts as notified from the notice of its slot until it looks or leaves.
struct Guest {
  Guest(RequestQueue& queue, runtime::Shard& shard, const QueuePosition& position = {})
      : visitor(queue, shard, kNever, position) {}
  bool was_notified() { return !settled && visitor.wakeup.wait(kNever).await_ready(); }

  Visitor visitor;
  bool settled = false;  // has its held slot, or has left
};

/// One queue, three shards whose loops the test runs, and all events that may happen to them, in random order.
class World {
 public:
  World(std::uint64_t seed, Pairs& pairs) : random_(seed), pairs_(pairs) {
    for (std::shared_ptr<Replica>& pod : pods_) pod = make_replica(pick(4));
    queue_->start_record();
    queue_->set_counting(true);
    queue_->set_replicas({pods_.begin(), pods_.end()});
  }

  void step() {
    const Kind kind = static_cast<Kind>(kinds_(random_));
    if (grants_on_their_way() > 0) ++pairs_[last_][kind];  // this event races with a grant's delivery
    last_ = kind;
    const std::array<std::size_t, kPods> before = in_use();
    act(kind);
    check_withheld(before);
  }

  void finish() {
    ejections_ = queue_->demand().ejections;
    refusals_ = queue_->demand().refusals;
    EXPECT_GT(looks_, 0u);
    if (pick(2) == 0) queue_->close();
    for (std::unique_ptr<Guest>& guest : guests_) look(*guest);
    guests_.clear();
    for (std::unique_ptr<TestShard>& shard : shards_) shard->advance(1h);
    held_.clear();
    for (std::unique_ptr<TestShard>& shard : shards_) shard->poll();
    held_.clear();
    const Demand demand = queue_->demand();
    EXPECT_EQ(demand.waiting, 0u);
    EXPECT_EQ(demand.slots_in_use, 0u);
    for (std::unique_ptr<runtime::TaskGroup>& group : groups_) EXPECT_EQ(group->running(), 0u) << "a wake-up was lost";
    const Replay replay(queue_->recorded());
    EXPECT_EQ(replay.waiting(), 0u);
    EXPECT_EQ(replay.held(), 0u);
    served_ = replay.served();
    check_integrals(replay.integrals());
    const std::weak_ptr<RequestQueue> watched = queue_;
    queue_.reset();
    EXPECT_TRUE(watched.expired());
    marks_.clear();
    pods_ = {};
    EXPECT_EQ(alive_, 0u);
  }
  /// What the queue has summed up is what the record of its events gives.
  void check_integrals(const QueueIntegrals& expected) {
    const QueueIntegrals counted = queue_->integrals();
    EXPECT_NEAR(counted.busy, expected.busy, 1e-6);
    EXPECT_NEAR(counted.waiting, expected.waiting, 1e-6);
    EXPECT_NEAR(counted.held, expected.held, 1e-6);
    EXPECT_EQ(counted.returns, expected.returns);
    waited_ = counted.waiting;
  }
  double waited() const { return waited_; }
  std::size_t served() const { return served_; }
  std::size_t ejections() const { return ejections_; }
  std::size_t refusals() const { return refusals_; }

 private:
  struct Mark {
    std::shared_ptr<Replica> replica;
    StockEntry* slot;
    const StockedConnection* connection;
  };

  std::size_t pick(std::size_t below) { return std::uniform_int_distribution<std::size_t>(0, below - 1)(random_); }
  std::shared_ptr<Replica>& any_pod() { return pods_[pick(kPods)]; }
  Guest& any_guest() { return *guests_[pick(guests_.size())]; }

  /// Slots that were granted to an exchange whose shard has not run the notice yet.
  std::size_t grants_on_their_way() const {
    std::size_t taken_or_notified = held_.size();
    for (const std::unique_ptr<Guest>& guest : guests_) taken_or_notified += guest->was_notified() ? 1 : 0;
    return queue_->demand().slots_in_use - taken_or_notified;
  }

  void act(Kind kind) {
    switch (kind) {
      case kEnter: return enter();
      case kExchange: return exchange();
      case kLook:
        if (!guests_.empty()) look(any_guest());
        return;
      case kLeave:
        if (!guests_.empty()) leave(any_guest());
        return;
      case kDrop:
        if (!guests_.empty()) guests_.erase(guests_.begin() + static_cast<std::ptrdiff_t>(pick(guests_.size())));
        return;
      case kGiveBack: return give_back();
      case kComeBack: return come_back();
      case kReadmit: return queue_->readmit(any_pod());
      case kReady: return queue_->set_ready(any_pod(), pick(3) > 0);
      case kSlots: return queue_->set_slots(any_pod(), pick(20) == 0 ? 0 : 1 + pick(3));
      case kReplicas: return change_replicas();
      case kOptions: return change_options();
      case kTakeConnection: return take_connection();
      case kSentOn: return enter({0, nullptr, clock_.now() - 1ms * pick(200) - 500us});
      case kWithhold: return withhold();
      case kHome: return queue_->set_home(pick(8) > 0);
      case kWaking: return queue_->set_waking(pick(2) == 0 ? std::optional<Awakening>(Awakening{}) : std::nullopt);
      case kTurn: return shards_[pick(kShards)]->poll();
      case kAdvance: return advance(*shards_[pick(kShards)]);
      case kKinds: return;
    }
  }

  void withhold() {
    const std::size_t pod = pick(kPods);
    withheld_[pod] = std::array<std::size_t, 8>{0, 0, 0, 0, 0, 1, 2, PodSlots::kAll}[pick(8)];
    RequestQueue::set_withheld(*pods_[pod]->pod(), withheld_[pod]);
  }
  std::array<std::size_t, kPods> in_use() const {
    std::array<std::size_t, kPods> numbers{};
    for (std::size_t pod = 0; pod < kPods; ++pod) numbers[pod] = pods_[pod]->pod()->in_use();
    return numbers;
  }
  /// No exchange begins at a pod of which the fleet withholds the slot.
  void check_withheld(const std::array<std::size_t, kPods>& before) const {
    for (std::size_t pod = 0; pod < kPods; ++pod) {
      const std::size_t slots = Capacity::slots_of(*pods_[pod]);
      const std::size_t now = pods_[pod]->pod()->in_use();
      if (slots == 0 || now <= before[pod]) continue;
      EXPECT_LE(now, slots - std::min(slots, withheld_[pod]));
    }
  }
  void enter(const QueuePosition& position = {}) {
    auto guest = std::make_unique<Guest>(*queue_, *shards_[pick(kShards)], position);
    Visitor& visitor = guest->visitor;
    if (visitor.entry.held_slot) held_.push_back(std::move(visitor.entry.held_slot));
    if (visitor.waits()) guests_.push_back(std::move(guest));
  }
  void exchange() {
    const std::size_t shard = pick(kShards);
    groups_[shard]->try_spawn(visit(queue_, shards_[shard]->now() + 1ms * pick(200), *shards_[shard], held_));
  }
  static Task<void> visit(std::shared_ptr<RequestQueue> queue, Deadline deadline, runtime::Shard& shard,
                          std::vector<HeldSlot>& held) {
    Result<HeldSlot> held_slot = co_await acquire(std::move(queue), deadline, shard);
    if (held_slot) held.push_back(std::move(*held_slot));
  }
  void look(Guest& guest) {
    Result<HeldSlot> held_slot = guest.visitor.look();
    if (!held_slot || !*held_slot) return;
    held_.push_back(std::move(*held_slot));
    guest.settled = true;
  }
  void leave(Guest& guest) {
    guest.visitor.leave();
    guest.settled = true;
  }
  /// Deadlines pass, and no message to the shard runs: a grant may be on its way to an exchange that gives up.
  void advance(TestShard& shard) {
    clock_.advance(25ms);
    shard.clock().advance(50ms);
    shard.shard().advance_timers();
  }
  HeldSlot any_held() {
    std::swap(held_[pick(held_.size())], held_.back());
    HeldSlot held_slot = std::move(held_.back());
    held_.pop_back();
    return held_slot;
  }
  void come_back() {
    if (held_.empty()) return;
    HeldSlot held_slot = any_held();
    held_slot.report().outcome = pick(4) == 0 ? ReplicaReport::Outcome::kRefused : ReplicaReport::Outcome::kFailed;
    const QueuePosition position = held_slot.position();
    EXPECT_EQ(position.avoided == nullptr, held_slot.report().outcome == ReplicaReport::Outcome::kRefused);
    held_slot.give_back();
    enter(position);
  }
  void give_back() {
    if (held_.empty()) return;
    HeldSlot held_slot = any_held();
    held_slot.report().outcome = std::array{ReplicaReport::Outcome::kNone, ReplicaReport::Outcome::kFailed,
                                            ReplicaReport::Outcome::kFailed, ReplicaReport::Outcome::kSucceeded}[pick(12) / 3];
    if (pick(8) == 0) held_slot.report().sheds_until = clock_.now() + 1ms * pick(500);
    if (held_slot.entry() == nullptr) return;
    if (pick(4) == 0) held_slot.entry()->connection = nullptr;
    if (pick(2) == 0) held_slot.entry()->connection = std::make_unique<TestConnection>(pick(kShards), alive_, queue_.get());
    for (const std::shared_ptr<Replica>& pod : pods_) {
      if (pod.get() == &held_slot.replica()) marks_.push_back({pod, held_slot.entry(), held_slot.entry()->connection.get()});
    }
  }
  void change_replicas() {
    if (pick(4) == 0) {
      const std::size_t pod = pick(kPods);
      pods_[pod] = make_replica(pick(4));
      withheld_[pod] = 0;
    }
    std::vector<std::shared_ptr<Replica>> chosen;
    for (const std::shared_ptr<Replica>& pod : pods_) {
      if (pick(5) > 0) chosen.push_back(pod);
    }
    queue_->set_replicas(chosen);
    for (const std::shared_ptr<Replica>& pod : chosen) {
      if (pick(2) == 0) queue_->set_ready(pod, true);
    }
  }
  void change_options() {
    QueueOptions options;
    options.length_max = pick(12);
    options.waking_max = pick(12);
    queue_->set_options(options);
  }
  void take_connection() {
    if (marks_.empty()) return;
    const Mark mark = marks_[pick(marks_.size())];
    std::unique_ptr<StockedConnection> out;
    if (mark.replica->pod()->take_connection(*mark.slot, mark.connection, out)) {
      EXPECT_EQ(out.get(), mark.connection);
    }
    if (marks_.size() > 20) marks_.erase(marks_.begin(), marks_.begin() + 10);
  }

  std::mt19937_64 random_;
  std::discrete_distribution<int> kinds_{kWeights.begin(), kWeights.end()};
  Pairs& pairs_;
  Kind last_ = kTurn;
  std::size_t served_ = 0;
  double waited_ = 0;
  std::size_t ejections_ = 0;
  std::size_t refusals_ = 0;
  std::size_t looks_ = 0;
  std::atomic<std::size_t> alive_ = 0;
  ManualClock clock_;  // the queue's
  std::shared_ptr<RequestQueue> queue_ = make_queue(8, clock_, std::make_shared<TestWatcher>([this] {
                                                      ++looks_;
                                                      queue_->begin_look();
                                                    }));
  std::array<std::shared_ptr<Replica>, kPods> pods_;
  std::array<std::size_t, kPods> withheld_{};
  std::array<std::unique_ptr<TestShard>, kShards> shards_{std::make_unique<TestShard>(0), std::make_unique<TestShard>(1),
                                                          std::make_unique<TestShard>(2)};
  std::array<std::unique_ptr<runtime::TaskGroup>, kShards> groups_{std::make_unique<runtime::TaskGroup>(*shards_[0], 10000),
                                                                   std::make_unique<runtime::TaskGroup>(*shards_[1], 10000),
                                                                   std::make_unique<runtime::TaskGroup>(*shards_[2], 10000)};
  std::vector<HeldSlot> held_;
  std::vector<Mark> marks_;
  std::vector<std::unique_ptr<Guest>> guests_;  // they wait, or have left already
};

/// ROUTER_SEED=n repeats the run with that seed.
std::uint64_t first_seed() {
  const char* given = std::getenv("ROUTER_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
}

TEST(RequestQueue, KeepsItsPromisesInAnyOrderOfEvents) {
  constexpr std::size_t kRounds = 200;
  constexpr std::size_t kEvents = 1000;
  const std::uint64_t first = first_seed();
  std::cout << "ROUTER_SEED=" << first << '\n';
  Pairs pairs{};
  std::size_t served = 0;
  std::size_t ejections = 0;
  std::size_t refusals = 0;
  double waited = 0;
  for (std::size_t round = 0; round < kRounds && !testing::Test::HasFailure(); ++round) {
    SCOPED_TRACE("round " + std::to_string(round) + " of ROUTER_SEED=" + std::to_string(first));
    World world(first + round, pairs);
    for (std::size_t event = 0; event < kEvents; ++event) world.step();
    world.finish();
    served += world.served();
    ejections += world.ejections();
    refusals += world.refusals();
    waited += world.waited();
  }
  EXPECT_GT(served, kRounds * kEvents / 15);
  EXPECT_GT(waited, 0);
  EXPECT_GT(ejections, kRounds / 2);
  EXPECT_GT(refusals, kRounds);
  for (int before = 0; before < kKinds; ++before) {
    for (int after = 0; after < kKinds; ++after) {
      EXPECT_GT(pairs[before][after], 0u) << before << " and then " << after << " never raced with a grant";
    }
  }
}

}  // namespace
}  // namespace router::dispatch

#endif

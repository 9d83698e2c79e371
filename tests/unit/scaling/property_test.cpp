#include <gtest/gtest.h>

#include <cstdlib>
#include <deque>
#include <random>

#include "router/scaling/explain.h"
#include "router/scaling/scaler.h"
#include "tests/unit/scaling/cases.h"

namespace router::scaling::test {
namespace {

/// Members that come, go, restart and lose frames; pods that start late or never; people who change replicas. All from one
/// seed.
class World {
 public:
  explicit World(std::uint64_t seed) : random_(seed), scaler_(choose_settings()) {
    members_.resize(1 + random_() % 3);
    target_.now = target_.leader_since = kStart;
    target_.replicas = target_.ready = settings_.min_instances;
  }

  void run() {
    for (int second = 0; second < 2500 && !testing::Test::HasFatalFailure(); ++second) step();
  }
  int writes() const { return writes_; }

 private:
  bool chance(double part) { return std::uniform_real_distribution<>(0, 1)(random_) < part; }
  const Settings& choose_settings() {
    settings_.min_instances = static_cast<int>(random_() % 3);
    settings_.max_instances = settings_.min_instances + 1 + static_cast<int>(random_() % 40);
    settings_.target = 0.2 + 0.1 * static_cast<double>(random_() % 12);
    settings_.slots = 1U << random_() % 5;
    return settings_;
  }

  void step() {
    target_.now += seconds(1);
    if (chance(0.01))
      load_ = chance(0.3) ? 0 : settings_.slots * settings_.max_instances * std::exponential_distribution<>(3)(random_);
    if (chance(0.005)) pods_start_ = !pods_start_;
    target_.rollout = chance(0.002) ? !target_.rollout : target_.rollout;
    std::set<std::string> names;
    for (std::size_t each = 0; each < members_.size(); ++each) names.insert("m" + std::to_string(each));
    scaler_.set_members(names);
    for (std::size_t each = 0; each < members_.size(); ++each) member_step(members_[each], "m" + std::to_string(each));
    start_pods();
    if (chance(0.001)) somebody_sets(static_cast<int>(random_() % 10));
    Scaler copy = scaler_;
    const Outcome outcome = scaler_.decide(target_);
    const Outcome again = copy.decide(target_);
    EXPECT_EQ(outcome.figures, again.figures);
    check(outcome);
    target_.foreign_change = target_.wake = false;
    if (outcome.decision.write) write(outcome.decision.replicas);
  }

  static Signal restarted(const Signal& before) {
    Signal signal;
    signal.incarnation = before.incarnation + 1;
    return signal;
  }

  void member_step(Signal& signal, const std::string& name) {
    if (chance(0.002)) signal = restarted(signal);
    signal.uptime += seconds(1);
    const double share = load_ / static_cast<double>(members_.size());
    const double slots = target_.ready * settings_.slots / static_cast<double>(members_.size());
    signal.since_start.busy += std::min(share, slots);
    signal.since_start.waiting += std::max(0.0, share - slots) / 2;
    signal.since_start.arrivals += static_cast<std::uint64_t>(share);
    signal.since_start.returns += static_cast<std::uint64_t>(std::min(share, slots));
    signal.since_start.held += std::floor(std::min(share, slots));
    signal.since_start.refusals += static_cast<std::uint64_t>(std::max(0.0, share - slots) / 2);
    signal.since_start.told += std::floor(std::max(0.0, share - slots) / 2);
    signal.waking = target_.ready == 0 && share > 0 ? static_cast<std::uint32_t>(share) + 1 : 0;
    if (chance(0.9)) scaler_.hear(name, signal, target_.now);
  }

  void start_pods() {
    if (pods_start_ && target_.ready < target_.replicas && chance(0.2)) ++target_.ready;
  }
  void write(int replicas) {
    ++writes_;
    if (replicas > target_.replicas) ups_.push_back({target_.now, target_.replicas});
    target_.replicas = replicas;
    target_.ready = std::min(target_.ready, replicas);
  }
  void somebody_sets(int replicas) {
    target_.foreign_change = true;
    target_.replicas = replicas;
    target_.ready = std::min(target_.ready, replicas);
  }

  void check(const Outcome& outcome) {
    const Figures& figures = outcome.figures;
    const Decision& decision = outcome.decision;
    ASSERT_EQ(decide(figures), decision) << "another decision from the same figures";
    ASSERT_LE(explain(figures, decision).size(), kMessageMost);
    wants_.push_back(want_of(figures));
    if (wants_.size() > 601) wants_.pop_front();
    if (!decision.write) {
      ASSERT_TRUE(decision.replicas == figures.replicas || decision.reason == Reason::kPaused);
      return;
    }
    ASSERT_GE(decision.replicas,
              settings_.min_instances > 0 ? std::min(settings_.min_instances, figures.replicas + kStepLeast) : 0);
    ASSERT_LE(decision.replicas, settings_.max_instances);
    ASSERT_FALSE(figures.foreign_lately);
    decision.replicas > figures.replicas ? check_up(decision) : check_down(outcome);
  }

  /// At most the greater of 2x and +4 within 5 s, and never beyond what the demand says.
  void check_up(const Decision& decision) {
    while (!ups_.empty() && target_.now - ups_.front().first > seconds(5)) ups_.pop_front();
    const int before = ups_.empty() ? target_.replicas : ups_.front().second;
    ASSERT_LE(decision.replicas, std::max(2 * before, before + kStepLeast));
    ASSERT_LE(decision.replicas, std::max(1, wants_.back()));
  }

  void check_down(const Outcome& outcome) {
    const Figures& figures = outcome.figures;
    ASSERT_TRUE(figures.signals_complete && !figures.rollout && figures.leader_age >= figures.window);
    const auto length = std::min(wants_.size(), static_cast<std::size_t>(peak_window(settings_).count()) + 1);
    const int highest = *std::max_element(wants_.end() - static_cast<std::ptrdiff_t>(length), wants_.end());
    if (outcome.decision.replicas > 0) {
      ASSERT_GE(outcome.decision.replicas, std::min(highest, figures.replicas - 1));
    } else {
      ASSERT_GE(figures.idle, figures.window);
    }
  }

  std::mt19937_64 random_;
  Settings settings_;
  Scaler scaler_;
  std::vector<Signal> members_;
  Observation target_;
  double load_ = 0;
  bool pods_start_ = true;
  int writes_ = 0;
  std::deque<int> wants_;
  std::deque<std::pair<TimePoint, int>> ups_;
};

/// SCALING_SEED: this seed only. SCALING_SEEDS: so many.
TEST(ScalingProperties, HoldInRandomWorlds) {
  const char* const one = std::getenv("SCALING_SEED");
  const char* const many = std::getenv("SCALING_SEEDS");
  const std::uint64_t first = one != nullptr ? std::strtoull(one, nullptr, 10) : 1;
  const std::uint64_t count = one != nullptr ? 1 : many != nullptr ? std::strtoull(many, nullptr, 10) : 60;
  int writes = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE("SCALING_SEED=" + std::to_string(seed));
    World world(seed);
    world.run();
    ASSERT_FALSE(testing::Test::HasFailure());
    writes += world.writes();
  }
  EXPECT_GT(writes, static_cast<int>(5 * count)) << "worlds in which nothing happens show nothing";
}

}  // namespace
}  // namespace router::scaling::test

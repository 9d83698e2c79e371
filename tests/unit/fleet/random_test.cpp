#include <cstdlib>

#include "tests/unit/fleet/trouble.h"
#include "tests/unit/fleet/world.h"

namespace router::fleet::test {
namespace {

/// FLEET_SIM_SEED: this seed only. FLEET_SIM_SEEDS: so many seeds for each kind of world.
std::pair<std::uint64_t, std::uint64_t> seeds(std::uint64_t usual) {
  if (const char* const one = std::getenv("FLEET_SIM_SEED")) return {std::strtoull(one, nullptr, 10), 1};
  const char* const many = std::getenv("FLEET_SIM_SEEDS");
  return {1, many != nullptr ? std::strtoull(many, nullptr, 10) : usual};
}

struct Total {
  std::uint64_t steps = 0;
  std::uint64_t started = 0;
  std::uint64_t rosters = 0;
  std::uint64_t unproven = 0;
};

void run_one(WorldOptions options, Total& total) {
  World world(options);
  Trouble trouble(world);
  trouble.run(60 * kSecond);
  ASSERT_EQ(world.violation(), "") << world.history() << world.state();
  trouble.heal_all();
  ASSERT_TRUE(world.wait_served(trouble.patience())) << world.violation() << "\n" << world.history() << world.state();
  world.run_for(3 * kSecond);
  ASSERT_EQ(world.violation(), "") << world.history() << world.state();
  total.steps += world.steps();
  total.started += world.started();
  total.rosters += world.rosters.size();
  if (!world.rosters.empty()) total.unproven += decode_roster(world.rosters.back())->unproven > 0 ? 1 : 0;
}

void run_seeds(const std::string& kind, std::uint64_t usual, const std::function<void(WorldOptions&)>& choose) {
  const auto [first, count] = seeds(usual);
  Total total;
  for (std::uint64_t seed = first; seed < first + count && !testing::Test::HasFatalFailure(); ++seed) {
    WorldOptions options{.seed = seed};
    options.hosts = 2 + static_cast<int>(seed % 4);
    choose(options);
    run_one(options, total);
    if (testing::Test::HasFatalFailure()) std::printf("FLEET_SIM_SEED=%llu\n", static_cast<unsigned long long>(seed));
  }
  std::printf("%s: seeds %llu to %llu, %llu steps, %llu exchanges, %llu rosters, removals without proof in %llu worlds\n",
              kind.c_str(), static_cast<unsigned long long>(first), static_cast<unsigned long long>(first + count - 1),
              static_cast<unsigned long long>(total.steps), static_cast<unsigned long long>(total.started),
              static_cast<unsigned long long>(total.rosters), static_cast<unsigned long long>(total.unproven));
}

TEST(FleetRandom, NoPodHasMoreExchangesThanSlotsWhateverHappens) {
  run_seeds("Lease", 50, [](WorldOptions& options) {
    options.loss = options.seed % 3 == 0 ? 0.05 : 0;
    options.duplicates = options.seed % 2 == 0 ? 0.05 : 0;
    options.long_exchanges = options.seed % 5 == 0;
  });
}

TEST(FleetRandom, FixedPeersKeepTheSlotsToo) {
  run_seeds("fixed peers", 24, [](WorldOptions& options) {
    options.fixed = true;
    options.namespaces = 1;
    options.duplicates = 0.02;
    options.loss = options.seed % 3 == 0 ? 0.05 : 0;
  });
}

TEST(FleetRandom, FixedPeersKeepTheSlotsWhateverListsTheyRead) {
  run_seeds("fixed peers, any lists", 24, [](WorldOptions& options) {
    options.fixed = options.any_lists = true;
    options.hosts = 3 + static_cast<int>(options.seed % 3);
    options.namespaces = 1;
    options.loss = options.seed % 3 == 0 ? 0.05 : 0;
  });
}

}  // namespace
}  // namespace router::fleet::test

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "tests/unit/fleet/data_path.h"

// How long requests wait for a slot, and in which order they are served, when three routers share the slots.
namespace router::fleet::test {
namespace {

constexpr Time kRoundTrip = kMs / 2;
constexpr Time kTolerance = kRoundTrip + kMs;  // two requests that arrive closer together have no order

/// Three routers with pods of one namespace, in a World where every frame arrives.
struct SimulatedFleet {
  SimulatedFleet(std::uint64_t seed, int pods, std::uint32_t slots, DataPathOptions options = {}) : path(options) {
    WorldOptions chosen{.seed = seed, .namespaces = 1, .pods_each = 0};
    chosen.obey = [this](Process& process, const Assignment& assignment) { path.obey(process, assignment); };
    world = std::make_unique<World>(chosen);
    for (int pod = 0; pod < pods; ++pod)
      world->pods.push_back({.id = "ns0/" + std::to_string(pod), .name_space = "ns0", .slots = slots});
    path.attach(*world);
    for (int host = 0; host < world->hosts(); ++host) world->spawn(host);
    served = world->wait_served(60 * kSecond);
    world->run_for(15 * kSecond);  // every router has joined
  }

  DataPath path;
  std::unique_ptr<World> world;
  bool served = false;
};

std::vector<Time> waits_of(const std::vector<Request>& requests) {
  std::vector<Time> waits;
  for (const Request& request : requests) waits.push_back(request.begun - request.arrival);
  return waits;
}

/// How many were served before one that had arrived more than kTolerance earlier.
std::size_t out_of_order(std::vector<Request> requests) {
  std::sort(requests.begin(), requests.end(), [](const Request& a, const Request& b) { return a.begun > b.begun; });
  std::size_t found = 0;
  std::size_t later = 0;
  Time earliest = std::numeric_limits<Time>::max();  // arrival among those that were served later
  for (const Request& request : requests) {
    for (; requests[later].begun > request.begun; ++later) earliest = std::min(earliest, requests[later].arrival);
    if (earliest < request.arrival - kTolerance) ++found;
  }
  return found;
}

struct Setting {
  std::string name;
  int pods = 8;
  std::uint32_t slots = 1;
  double service_ms = 50;
  double load = 0.8;
  std::array<double, 3> shares{1, 1, 1};
};

std::vector<Setting> settings() {
  std::vector<Setting> all;
  for (const auto& [pods, slots] : {std::pair(8, 1U), std::pair(2, 1U), std::pair(40, 4U)})
    for (const double service_ms : {50.0, 5.0})
      for (const double load : {0.5, 0.8, 0.95})
        for (const auto& [clients, shares] :
             {std::pair("Even", std::array<double, 3>{1, 1, 1}), std::pair("Uneven", std::array<double, 3>{70, 20, 10})})
          all.push_back({.name = std::to_string(pods) + "x" + std::to_string(slots) + "_" +
                                 std::to_string(static_cast<int>(service_ms)) + "ms_" +
                                 std::to_string(static_cast<int>(100 * load)) + "_" + clients,
                         .pods = pods,
                         .slots = slots,
                         .service_ms = service_ms,
                         .load = load,
                         .shares = shares});
  return all;
}

Traffic traffic_of(const Setting& setting, std::size_t requests) {
  return {.seed = 7,
          .requests = requests,
          .slots = static_cast<std::size_t>(setting.pods) * setting.slots,
          .service_ms = setting.service_ms,
          .load = setting.load,
          .shares = setting.shares};
}

struct Waiting {
  Time ideal = 0;
  Time fleet = 0;
  std::size_t out_of_order = 0;
  bool within() const { return static_cast<double>(fleet) <= 1.10 * static_cast<double>(ideal) + 2 * kRoundTrip; }
};

Waiting measure(const Setting& setting, std::size_t requests, DataPathOptions options = {}) {
  SimulatedFleet fleet(3, setting.pods, setting.slots, options);
  EXPECT_TRUE(fleet.served) << fleet.world->history();
  const Traffic traffic = traffic_of(setting, requests);
  std::vector<Request> sent = requests_of(traffic);
  Waiting found{.ideal = p99(ideal_waits(sent, traffic.slots))};
  fleet.path.run(sent);
  EXPECT_EQ(fleet.path.violation(), "");
  EXPECT_EQ(fleet.world->violation(), "") << fleet.world->history();
  found.fleet = p99(waits_of(sent));
  found.out_of_order = out_of_order(std::move(sent));
  return found;
}

class WaitingTime : public testing::TestWithParam<Setting> {};

TEST_P(WaitingTime, IsThatOfOneQueue) {
  const Waiting found = measure(GetParam(), 12'000);
  RecordProperty("ideal_p99_us", static_cast<int>(found.ideal / 1000));
  RecordProperty("fleet_p99_us", static_cast<int>(found.fleet / 1000));
  EXPECT_TRUE(found.within()) << "p99 " << found.fleet / 1000 << " us, ideal " << found.ideal / 1000 << " us";
  EXPECT_EQ(found.out_of_order, 0u);
}

INSTANTIATE_TEST_SUITE_P(Fleet, WaitingTime, testing::ValuesIn(settings()),
                         [](const testing::TestParamInfo<Setting>& setting) { return setting.param.name; });

TEST(WaitingTimes, OfSplitSlotsAreLonger) {
  const Setting uneven{.name = "", .pods = 9, .load = 0.5, .shares = {70, 20, 10}};
  EXPECT_FALSE(measure(uneven, 3000, {.splits = true}).within()) << "the bound would not tell a fleet from none";
}

/// The home is drained while many wait: they go over to the new home.
struct Moved {
  explicit Moved(std::uint64_t seed, DataPathOptions options = {}) : fleet(seed, 8, 1, options) {
    EXPECT_TRUE(fleet.served) << fleet.world->history();
    const int old = fleet.path.home();
    sent = requests_of({.seed = seed, .requests = 4000, .slots = 8, .load = 0.95});
    fleet.world->at(sent[2000].arrival, [this, old] {
      fleet.path.leave(old);
      fleet.world->drain(old);
    });
    fleet.path.run(sent);
    EXPECT_EQ(fleet.path.violation(), "");
    EXPECT_EQ(fleet.world->violation(), "") << fleet.world->history();
    EXPECT_NE(fleet.path.home(), old);
  }

  SimulatedFleet fleet;
  std::vector<Request> sent;
};

/// Requests that wait go to the new home at the position of their arrival. A few ask it before it knows that it is home; they
/// pause (proxy/send_on), and may be overtaken meanwhile.
TEST(WaitingTimes, ChangeLittleWhenTheHomeIsDrained) {
  std::size_t found = 0;
  std::size_t all = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const Moved moved(seed);
    found += out_of_order(moved.sent);
    all += moved.sent.size();
  }
  EXPECT_LE(found, all / 1000);
}

TEST(WaitingTimes, AreInDisorderWithoutTheAgeOfARequest) {
  const Moved moved(1, {.tells_age = false});
  EXPECT_GT(out_of_order(moved.sent), moved.sent.size() / 100) << "the test would not see it";
}

}  // namespace
}  // namespace router::fleet::test

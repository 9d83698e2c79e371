#include "router/serving/fleet_member.h"

#include <algorithm>

#include "tests/support/failing_memory.h"
#include "tests/unit/serving/fleet_world.h"

namespace router::serving::test {
namespace {

using router::test::FailingMemory;

/// One member, whose thread and control are the test's thread. Each has its own loop.
class FleetMemberTest : public testing::Test {
 protected:
  struct Running {
    explicit Running(FleetMemberTest& test)
        : courier(
              test.fleet, test.control, [&test](FleetLetter& letter) { test.deliver(letter); },
              [this](FleetLetter& letter) { member.courier_returned(letter); }),
          member(test.fleet,
                 {.coverage = test.coverage, .courier = courier, .requests = [](runtime::Descriptor, const Address&) {}},
                 test.settings()) {}
    FleetCourier courier;
    FleetMember member;
  };

  FleetMember::Settings settings() {
    runtime::ListeningSocket listening = std::move(runtime::listen_on("127.0.0.1", 0, 1).value().front());
    fleet::Options options;
    options.timing = quick_timing();
    options.timing.coverage = options.timing.running_grace = milliseconds(10);
    const std::string address = "127.0.0.1:" + std::to_string(listening.port());
    options.fixed_peers.push_back(address);
    std::move(more_peers.begin(), more_peers.end(), std::back_inserter(options.fixed_peers));
    if (with_lease) options.fixed_peers.clear();
    return {.identity = {.id = "own", .pod_uid = address, .address = address, .started = 1},
            .machine = std::move(options),
            .links = quick_links(),
            .listening = std::move(listening)};
  }
  void deliver(FleetLetter& letter) {
    for (const FleetLine& line : letter.lines) lines.push_back(line.text);
    letter.lines.clear();
    if (letter.lease && ++leases && lease_fails) throw std::runtime_error("no client");
    letter.lease.reset();
    if (!letter.news) return;
    news.push_back(*std::exchange(letter.news, std::nullopt));
  }
  void turn() {
    router::test::poll(fleet);
    router::test::poll(control);
  }
  /// Turns both loops while real time passes.
  bool until(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + seconds(4);
    while (std::chrono::steady_clock::now() < end) {
      if (condition()) return true;
      turn();
      fleet.io().restart();
      fleet.io().run_one_for(milliseconds(2));
    }
    return false;
  }
  std::uint32_t usable() const {
    return news.empty() || news.back().assignment->pods.empty() ? 0 : news.back().assignment->pods.front().slots;
  }
  static fleet::Served serving(std::uint32_t slots) { return {{{"a", {{"a-pod-with-a-name-that-needs-memory", slots}}}}}; }
  bool logged(const std::string& part) const {
    return std::any_of(lines.begin(), lines.end(),
                       [&](const std::string& each) { return each.find(part) != std::string::npos; });
  }

  SteadyClock clock;
  runtime::Shard fleet{0, clock};
  runtime::Shard control{0, clock};
  dispatch::Coverage coverage;
  std::vector<std::string> more_peers;
  bool with_lease = false;
  bool lease_fails = false;
  std::size_t leases = 0;
  std::vector<FleetNews> news;
  std::vector<std::string> lines;
};

TEST_F(FleetMemberTest, ControlThatIsBusyGetsTheNewestNewsAlone) {
  Running running(*this);
  for (std::uint32_t slots = 1; slots <= 100; ++slots) {
    running.member.handle(serving(slots));
    router::test::poll(fleet);  // not control
  }
  ASSERT_TRUE(until([&] { return usable() == 100; }));
  EXPECT_LE(news.size(), 4u);
}

TEST_F(FleetMemberTest, AnEventIsHandledThoughMemoryIsShort) {
  for (std::size_t served = 0;; ++served) {
    Running running(*this);
    ASSERT_TRUE(until([&] { return coverage.covers_now(); }));
    news.clear();
    std::size_t failed = 0;
    fleet::Event event = serving(7);
    {
      FailingMemory memory(served, 1);
      running.member.handle(std::move(event));
      failed = memory.failed();
    }
    ASSERT_TRUE(until([&] { return usable() == 7; })) << served;
    if (failed == 0) break;
  }
}

TEST_F(FleetMemberTest, NothingIsCoveredForAWhileAfterAnEventThatWasLeftHalfWay) {
  Running running(*this);
  ASSERT_TRUE(until([&] { return coverage.covers_now(); }));
  bool ended = false;
  for (std::size_t served = 0; served < 20 && !ended; ++served) {
    fleet::Event event = serving(7 + static_cast<std::uint32_t>(served));
    FailingMemory memory(served, 1);
    running.member.handle(std::move(event));
    ended = !coverage.covers_now();
  }
  ASSERT_TRUE(ended);
  const fleet::BootTime begin = boot_now();
  ASSERT_TRUE(until([&] { return coverage.covers_now(); }));
  EXPECT_GE(boot_now() - begin, milliseconds(250)) << "W is more than that";
}

TEST_F(FleetMemberTest, ALeaseActionThatControlCannotTakeHasFailedAndIsRepeated) {
  with_lease = lease_fails = true;
  Running running(*this);
  ASSERT_TRUE(until([&] { return leases >= 2; }));
}

TEST_F(FleetMemberTest, SaysOnceWhichAddressIsNoneAndWhichCannotBeReached) {
  more_peers = {"not an address", "127.0.0.1:1"};
  Running running(*this);
  running.member.replace_keys(keys());
  ASSERT_TRUE(until([&] { return logged("127.0.0.1:1 cannot be reached: connecting failed: Connection refused"); }));
  EXPECT_TRUE(logged("not an address is no address with a port"));
  const std::size_t before = lines.size();
  for (int turns = 0; turns < 30; ++turns) until([n = 0]() mutable { return ++n > 5; });
  EXPECT_EQ(lines.size(), before);
}

TEST_F(FleetMemberTest, ClosesInTimeAlsoWithAPeerThatIsSilent) {
  const router::test::LoopbackListener silent;
  more_peers = {silent.address().text()};
  Running running(*this);
  running.member.replace_keys(keys());
  ASSERT_TRUE(until([&] { return bool(silent.accept()); }));
  bool closed = false;
  running.member.close([&] { closed = true; });
  EXPECT_FALSE(coverage.covers_now());
  EXPECT_TRUE(until([&] { return closed; }));
}

}  // namespace
}  // namespace router::serving::test

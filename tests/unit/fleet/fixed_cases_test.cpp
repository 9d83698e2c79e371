#include "tests/support/failing_memory.h"
#include "tests/unit/fleet/cases.h"

// What happens to a fleet with fixed peers when the lists change, and to one machine when memory is short.
namespace router::fleet::test {
namespace {

using router::test::FailingMemory;
using std::chrono::milliseconds;
using std::chrono::seconds;

Options with_peers(std::vector<std::string> peers) {
  Options options;
  options.fixed_peers = std::move(peers);
  return options;
}

class FleetFixed : public FleetCases {
 protected:
  void read_list(int host, const std::vector<int>& hosts) {
    std::vector<std::string> list;
    for (const int each : hosts) list.push_back("host" + std::to_string(each));
    world_->process(host)->handle(PeersChanged{list});
  }
  std::string state(int host) { return report(host).state; }
};

TEST_F(FleetFixed, APeerThatIsTakenOutGivesUpItsHomesBeforeAnotherTakesThem) {
  World& world = fleet(3, {.fixed = true});
  const int out = home();
  const int first = (out + 1) % 3;
  const int last = (out + 2) % 3;
  read_list(first, {first, last});
  world.run_for(500 * kMs);
  EXPECT_EQ(state(out), "joining") << world.state();
  EXPECT_FALSE(report(out).ready);
  EXPECT_NE(report(out).reason.find("not in the list fleet.peers of host" + std::to_string(first)), std::string::npos)
      << report(out).reason;
  expect_served_within(15 * kSecond);  // its exchanges take up to 12 s
  read_list(last, {first, last});
  world.run_for(15 * kSecond);
  EXPECT_EQ(report(first).members.size(), 2U) << world.state();
  EXPECT_EQ(report(last).members.size(), 2U) << world.state();
  read_list(first, {0, 1, 2});
  world.run_for(2 * kSecond);
  EXPECT_EQ(state(out), "joining") << "one list still lacks it";
  read_list(last, {0, 1, 2});
  world.run_for(2 * kSecond);
  EXPECT_EQ(state(out), "serving") << world.state();
  expect_served_within(15 * kSecond);
}

TEST_F(FleetFixed, ReadinessToldToForgetAPeerWhileEveryPeerWasMet) {
  WorldOptions options{.hosts = 3, .fixed = true};
  options.timing.abort_wait = seconds(15);
  world_ = std::make_unique<World>(options);
  for (int host = 0; host < 3; ++host) world_->spawn(host);
  world_->run_for(5 * kSecond);
  EXPECT_EQ(report(0).reason.find("waits another 1"), 0U) << report(0).reason;
  world_->run_for(11 * kSecond);
  EXPECT_TRUE(report(0).ready) << report(0).reason;
}

TEST_F(FleetFixed, OneBecomesThreeAndOneAgainByReload) {
  WorldOptions options{.hosts = 3, .fixed = true, .namespaces = 6};
  world_ = std::make_unique<World>(options);
  world_->spawn(0);
  read_list(0, {0});
  ASSERT_TRUE(world_->wait_served(2 * kSecond)) << world_->state();
  read_list(0, {0, 1, 2});
  for (int i = 0; i < 50; ++i) {
    world_->run_for(100 * kMs);
    ASSERT_TRUE(world_->all_served()) << "nobody waits for who was added and does not run";
  }
  world_->spawn(1);
  world_->spawn(2);
  world_->run_for(3 * kSecond);
  for (int host = 0; host < 3; ++host) EXPECT_EQ(state(host), "serving") << world_->state();
  expect_served_within(15 * kSecond);
  read_list(0, {0});
  expect_served_within(15 * kSecond);
  world_->run_for(15 * kSecond);
  EXPECT_EQ(report(0).homes, 6U);
  EXPECT_EQ(report(0).members.size(), 1U) << world_->state();
}

TEST_F(FleetFixed, APeerThatIsTakenOutAndEndsBeforeItHasToldThatNothingRunsIsNoMember) {
  World& world = fleet(3, {.fixed = true});
  const int out = home();
  const int first = (out + 1) % 3;
  const int last = (out + 2) % 3;
  read_list(first, {first, last});
  read_list(last, {first, last});
  world.crash(out, true);
  world.run_for(5 * kSecond);
  EXPECT_EQ(report(first).members.size(), 2U) << world.state();
  EXPECT_EQ(report(last).members.size(), 2U) << world.state();
  expect_served_within(2 * kSecond);
}

TEST_F(FleetFixed, AnAddedPeerThatDoesNotRunStopsNoTakeover) {
  World& world = fleet(3, {.fixed = true});
  const int dead = home();
  world.crash(dead, true);
  expect_served_within(2 * kSecond);
  const int other = (dead + 1) % 3;
  for (int host = 0; host < 3; ++host)
    if (host != dead) read_list(host, {0, 1, 2, 7});
  const int next = dead == 0 ? 1 : 0;
  world.crash(other == next ? next : other, true);
  expect_served_within(2 * kSecond);
}

TEST(FleetMachine, LongerWaitsAreInForceAtOnceAndShorterOnesAfterTheLongerAreOver) {
  BootTime now{std::chrono::hours(1)};
  Machine machine({.id = "x", .pod_uid = "p", .address = "x:1", .started = 1}, with_peers({"x:1"}), now);
  machine.handle(now, Waits{seconds(30), seconds(1)});
  EXPECT_EQ(machine.timing().running_grace, seconds(30));
  machine.handle(now, Waits{seconds(5), milliseconds(250)});
  const BootDuration longer = machine.timing().takeover_wait();
  machine.handle(now + longer - milliseconds(1), Tick{});
  EXPECT_EQ(machine.timing().running_grace, seconds(30)) << "what was begun under it may run still";
  machine.handle(now + longer, Tick{});
  EXPECT_EQ(machine.timing().running_grace, seconds(5));
  EXPECT_EQ(machine.timing().abort_wait, milliseconds(250));
}

/// A member with one peer, "y:1", that is home of everything, so that what runs here is told.
class FleetReports : public testing::Test {
 protected:
  FleetReports() {
    machine.handle(now,
                   LinkOpened{1, encode(Hello{.id = "y", .pod_uid = "y:1", .address = "y:1", .started = 1, .protocols = {}})});
    machine.handle(now, Served{{{.name = "a", .pods = {{.id = "pod", .slots = 4}}}}});
  }
  /// The newest beat to the peer since the last call.
  std::optional<Beat> told() {
    std::optional<Beat> newest;
    for (const Action& action : machine.take_actions()) {
      const auto* const sent = std::get_if<SendFrame>(&action);
      if (sent == nullptr) continue;
      EXPECT_LE(sent->text.size(), kFrameMax);
      absl::StatusOr<Frame> frame = decode_frame(sent->text);
      EXPECT_TRUE(frame.ok()) << frame.status();
      if (frame.ok() && std::holds_alternative<Beat>(*frame)) newest = std::get<Beat>(*std::move(frame));
    }
    return newest;
  }
  Applied holding(std::size_t pods, const std::string& name, std::uint32_t connections = 1) const {
    Applied applied{.version = machine.assignment().version, .holdings = {}};
    for (std::size_t i = 0; i < pods; ++i)
      applied.holdings.push_back(
          {.pod = name + std::to_string(1000 + i), .name_space = "elsewhere", .connections = connections});
    return applied;
  }

  BootTime now{std::chrono::hours(1)};
  Machine machine{{.id = "x", .pod_uid = "x:1", .address = "x:1", .started = 1}, with_peers({"x:1", "y:1"}), now};
};

TEST_F(FleetReports, APeersWordForAnEarlierTimeOfServingIsNotTaken) {
  Beat beat;
  beat.number = 1;
  beat.epoch = {.number = 1, .writer = "fixed"};
  beat.sees_you = true;  // as it was when this process served before, or another one did at its address
  beat.busy_revision = 1;
  beat.busy.emplace();
  beat.list = told()->list;
  machine.handle(now, FrameReceived{1, encode(beat)});
  now += milliseconds(300);
  machine.handle(now, Tick{});
  EXPECT_EQ(machine.report(now).state, "serving");
  EXPECT_EQ(machine.report(now).taking, 1U) << "the peer does not know it yet";
  beat.number = 2;
  machine.handle(now, FrameReceived{1, encode(beat)});
  EXPECT_EQ(machine.report(now).taking, 1U) << "its answer was on the way";
  const std::optional<Beat> sent = told();
  ASSERT_TRUE(sent && sent->serving);
  beat.number = 3;
  beat.echo = sent->number;
  machine.handle(now, FrameReceived{1, encode(beat)});
  EXPECT_EQ(machine.report(now).taking, 0U);
}

TEST_F(FleetReports, AReportThatFitsNoFrameIsNotToldAndNobodyTakesOverMeanwhile) {
  machine.handle(now, holding(4096, std::string(kNameMax - 20, 'p')));
  std::optional<Beat> beat = told();
  ASSERT_TRUE(beat);
  EXPECT_FALSE(beat->busy);
  EXPECT_EQ(beat->busy_revision, 0U) << "unknown: nobody may rely on an older report";
  machine.handle(now, holding(4096, "10.1.2.3:8080-"));
  beat = told();
  ASSERT_TRUE(beat);
  EXPECT_EQ(beat->busy->size(), 4096U);
  EXPECT_GT(beat->busy_revision, 0U);
}

TEST_F(FleetReports, ARevisionNeverNamesOtherNumbersWhicheverAllocationFails) {
  now += seconds(1);
  machine.handle(now, Tick{});
  std::uint64_t revision = told()->busy_revision;
  std::uint32_t number = 0;
  for (std::size_t served = 0, failed = 1; failed > 0; ++served) {
    ASSERT_LT(served, 1000U);
    const auto connections = static_cast<std::uint32_t>(served + 2);
    Applied applied = holding(3, "a-pod-with-a-name-that-needs-memory-", connections);
    machine.take_actions();
    {
      const FailingMemory failing(served, 1);
      try {
        machine.handle(now, std::move(applied));
      } catch (const std::bad_alloc&) {
      }
      failed = failing.failed();
    }
    now += seconds(1);
    machine.handle(now, Tick{});
    const std::optional<Beat> beat = told();
    ASSERT_TRUE(beat && beat->busy) << served;
    const std::uint32_t told_now = beat->busy->empty() ? 0 : beat->busy->front().second;
    const bool is_new = beat->busy_revision != std::exchange(revision, beat->busy_revision);
    EXPECT_EQ(told_now, is_new ? connections : number) << served;
    number = told_now;
  }
}

TEST_F(FleetReports, ALinkIsKnownOrNotWhicheverAllocationFails) {
  for (std::size_t served = 0, failed = 1; failed > 0; ++served) {
    ASSERT_LT(served, 1000U);
    const LinkId link = 100 + served;
    const std::string hello = encode(Hello{.id = "a-member-with-a-long-name-" + std::to_string(served),
                                           .pod_uid = "z",
                                           .address = "z:1",
                                           .started = 1,
                                           .protocols = {}});
    {
      const FailingMemory failing(served, 1);
      try {
        machine.handle(now, LinkOpened{link, hello});
      } catch (const std::bad_alloc&) {
      }
      failed = failing.failed();
    }
    machine.handle(now, LinkEnded{link});
    machine.take_actions();
    now += seconds(1);
    machine.handle(now, Tick{});
    for (const Action& action : machine.take_actions()) {
      const auto* const sent = std::get_if<SendFrame>(&action);
      EXPECT_TRUE(sent == nullptr || sent->link != link) << "the link has ended";
    }
  }
}

TEST_F(FleetReports, ALinkThatTellsTheIdWhichThisProcessHadBeforeIsRefused) {
  for (const char* own : {"x", "x~1"}) {
    machine.handle(now,
                   LinkOpened{9, encode(Hello{.id = own, .pod_uid = "x:1", .address = "x:1", .started = 1, .protocols = {}})});
    bool ended = false;
    for (const Action& action : machine.take_actions()) ended = ended || std::get_if<EndLink>(&action) != nullptr;
    EXPECT_TRUE(ended) << own;
  }
}

TEST_F(FleetReports, APeerOfAnotherProtocolIsNamedWithItsVersions) {
  machine.handle(now, LinkEnded{1});
  machine.handle(
      now, LinkOpened{2, encode(Hello{.id = "y2", .pod_uid = "y:1", .address = "y:1", .started = 2, .protocols = {7, 9}})});
  now += seconds(1);
  machine.handle(now, Tick{});
  EXPECT_FALSE(machine.report(now).ready);
  EXPECT_NE(machine.report(now).reason.find("speaks versions 1 to 1 of the fleet's protocol, y2 at y:1 7 to 9"),
            std::string::npos)
      << machine.report(now).reason;
}

TEST_F(FleetReports, APeerThatRestartsWithAnEarlierClockIsMet) {
  machine.handle(now, PeerRefused{"y"});
  now += seconds(1);
  machine.handle(now,
                 LinkOpened{2, encode(Hello{.id = "y2", .pod_uid = "y:1", .address = "y:1", .started = -7, .protocols = {}})});
  EXPECT_EQ(machine.report(now).members.at(1).member.id, "y2");
  EXPECT_FALSE(machine.report(now).members.at(1).proven_dead) << "the link of the one before has not ended yet";
  machine.handle(now,
                 LinkOpened{3, encode(Hello{.id = "y", .pod_uid = "y:1", .address = "y:1", .started = 1, .protocols = {}})});
  EXPECT_EQ(machine.report(now).members.at(1).member.id, "y2") << "y is dead";
}

TEST_F(FleetReports, APeerThatRestartsWithAnEarlierClockBeforeItsEndIsKnownIsMetThen) {
  machine.handle(now,
                 LinkOpened{2, encode(Hello{.id = "y2", .pod_uid = "y:1", .address = "y:1", .started = 0, .protocols = {}})});
  EXPECT_EQ(machine.report(now).members.at(1).member.id, "y");
  std::string lines;
  for (const Action& action : machine.take_actions())
    if (const auto* const line = std::get_if<LogLine>(&action)) lines += line->text + "\n";
  EXPECT_NE(lines.find("y:1 is the address of y and of y2"), std::string::npos) << lines;
  machine.handle(now, Forget{"y:1"});
  EXPECT_EQ(machine.report(now).members.at(1).member.id, "y2");
  EXPECT_FALSE(machine.report(now).members.at(1).proven_dead);
}

TEST_F(FleetReports, AForgottenProcessSaysSoAndNotThatItsListLacksIt) {
  Beat beat;
  beat.number = 1;
  beat.epoch = {.number = 1, .writer = "fixed"};
  beat.deaths.push_back({.id = "x", .proof = Proof::kForgotten});
  machine.handle(now, FrameReceived{1, encode(beat)});
  EXPECT_TRUE(machine.must_cut());
  machine.handle(now, holding(0, ""));
  now += seconds(1);
  machine.handle(now, Tick{});
  EXPECT_EQ(machine.report(now).reason.find("the fleet holds this process for dead"), 0U) << machine.report(now).reason;
}

TEST_F(FleetReports, APeerThatRestartsAThousandTimesIsStillAPeer) {
  for (std::int64_t start = 2; start < 1000; ++start) {
    const auto link = static_cast<LinkId>(start);
    machine.handle(now, LinkEnded{link - 1});
    now += seconds(1);
    machine.handle(
        now,
        LinkOpened{
            link,
            encode(Hello{
                .id = "y-" + std::to_string(start), .pod_uid = "y:1", .address = "y:1", .started = start, .protocols = {}})});
  }
  EXPECT_EQ(machine.report(now).members.at(1).member.id, "y-999");
  EXPECT_TRUE(machine.report(now).members.at(1).linked);
}

}  // namespace
}  // namespace router::fleet::test

#include "router/serving/fleet_thread.h"

#include <set>

#include "router/fleet/roster.h"
#include "router/serving/fleet_identity.h"
#include "tests/unit/serving/fleet_world.h"

namespace router::serving::test {
namespace {

const std::string kNames = "abcdefgh";

TEST_F(FleetThreads, TwoMembersAgreeOnHomesAndAreCovered) {
  make(2);
  EXPECT_FALSE((*this)[0].covered()) << "nothing is covered before the thread runs";
  start(kNames);
  ASSERT_TRUE(until([&] { return agree(kNames); }));
  const fleet::Report& report = (*this)[0].newest->report;
  EXPECT_TRUE(report.ready) << report.reason;
  EXPECT_EQ(report.own_id, (*this)[0].id());
  EXPECT_EQ(report.members.size(), 2u);
  EXPECT_GE((*this)[0].newest->links.opened, 1u);
  EXPECT_FALSE((*this)[0].newest->must_cut);
}

TEST_F(FleetThreads, OneThatEndsWithoutAByeIsProvenDeadAndItsNamespacesMove) {
  make(3);
  start(kNames);
  ASSERT_TRUE(until([&] { return agree(kNames); }));
  std::size_t dying = 0;
  while (homes_of(dying, kNames) == 0) ++dying;
  (*this)[dying].thread.stop();
  EXPECT_FALSE((*this)[dying].covered());
  const std::unique_ptr<Member> dead = std::move(members[dying]);  // stopped, not destroyed: its port is closed
  members.erase(members.begin() + static_cast<std::ptrdiff_t>(dying));
  ASSERT_TRUE(until([&] { return agree(kNames); }));
  EXPECT_EQ(homes_of(0, kNames) + homes_of(1, kNames), kNames.size());
  EXPECT_GE((*this)[0].newest->links.proven_dead + (*this)[1].newest->links.proven_dead, 1u);
}

TEST_F(FleetThreads, OneThatDrainsSaysByeSoNobodyLooksForAProof) {
  make(3);
  start(kNames);
  ASSERT_TRUE(until([&] { return agree(kNames); }));
  EXPECT_FALSE((*this)[2].newest->may_leave);
  (*this)[2].thread.post(fleet::DrainRequested{});
  (*this)[2].thread.post(fleet::Emptied{});
  ASSERT_TRUE(until([&] { return (*this)[2].newest->may_leave; }));
  (*this)[2].thread.stop();
  members.pop_back();
  ASSERT_TRUE(until([&] { return agree(kNames); }));
  run_for(milliseconds(50));
  EXPECT_EQ((*this)[0].newest->links.proven_dead, 0u);
  EXPECT_EQ((*this)[1].newest->links.proven_dead, 0u);
}

TEST_F(FleetThreads, MembersOfTwoVersionsWithAProtocolInCommonAreOneFleet) {
  protocols = {{1, 1}, {1, 2}, {1, 7}};
  make(3);
  start(kNames);
  ASSERT_TRUE(until([&] { return agree(kNames); }));
  (*this)[0].thread.post(fleet::DrainRequested{});
  (*this)[0].thread.post(fleet::Emptied{});
  ASSERT_TRUE(until([&] { return (*this)[0].newest->may_leave; }));
  (*this)[0].thread.stop();
  members.erase(members.begin());
  ASSERT_TRUE(until([&] { return agree(kNames); }));
}

TEST_F(FleetThreads, AMemberWithoutAProtocolInCommonIsNotReadyAndBothSayWhy) {
  protocols = {{1, 1}, {2, 3}};
  make(2);
  start(kNames);
  const auto says = [](const Member& member, const std::string& what) {
    return member.newest && member.newest->report.reason.find(what) != std::string::npos;
  };
  ASSERT_TRUE(until([&] { return says((*this)[0], "speaks versions 1 to 1") && says((*this)[1], "speaks versions 2 to 3"); }));
  run_for(milliseconds(300));
  for (const auto& member : members) EXPECT_FALSE(member->newest->report.ready || member->covered());
}

TEST_F(FleetThreads, AHomeWaitsForWhatAnotherMemberStillHolds) {
  make(2);
  for (const auto& member : members) member->holdings = {{"a", "a", 1}};
  start("a");
  const auto waits = [&](const Member& member) { return member.home("a") == "here" && member.usable("a") == 1; };
  ASSERT_TRUE(until([&] { return waits((*this)[0]) || waits((*this)[1]); })) << "one of two slots is the other's still";
  EXPECT_FALSE(agree("a"));
  for (const auto& member : members) {
    member->holdings.clear();
    member->thread.post(fleet::Applied{.version = member->newest->assignment->version, .holdings = {}});
  }
  EXPECT_TRUE(until([&] { return agree("a"); }));
}

TEST_F(FleetThreads, LinksNeedTheSameKeyAndTakeANewOneWhileTheyRun) {
  make(2);
  (*this)[0].thread.replace_keys(keys());
  (*this)[1].thread.replace_keys(keys(kOtherKey));
  for (const auto& member : members) {
    member->serve("a");
    member->thread.start();
  }
  ASSERT_TRUE(until([&] { return (*this)[0].newest && !(*this)[0].newest->report.unreachable.empty(); }));
  run_for(milliseconds(100));
  EXPECT_FALSE(agree("a"));
  EXPECT_EQ((*this)[0].newest->links.opened, 0u);
  (*this)[1].thread.replace_keys(keys(kOtherKey + "\n" + kKey));
  EXPECT_TRUE(until([&] { return agree("a"); }));
}

TEST_F(FleetThreads, AConnectionForRequestsIsPassedOnUnread) {
  make(1);
  start("a");
  const Descriptor client =
      connect_to(*Address::parse("127.0.0.1", static_cast<std::uint16_t>(std::stoi((*this)[0].address().substr(10)))));
  client.send("Rthe rest");
  ASSERT_TRUE(until([&] { return !(*this)[0].requests.empty(); }));
  std::string received;
  EXPECT_TRUE(until([&] {
    received += (*this)[0].requests.front().received();
    return received == "the rest";
  }));
}

TEST_F(FleetThreads, EventsAreHandledInTheOrderOfPosting) {
  make(1);
  for (std::uint32_t slots = 1; slots <= 50; ++slots) (*this)[0].thread.post(fleet::Served{{{"a", {{"pod", slots}}}}});
  (*this)[0].thread.start();
  for (std::uint32_t slots = 51; slots <= 100; ++slots) (*this)[0].thread.post(fleet::Served{{{"a", {{"pod", slots}}}}});
  ASSERT_TRUE(until([&] { return (*this)[0].usable("pod") == 100; }));
  run_for(milliseconds(30));
  EXPECT_EQ((*this)[0].usable("pod"), 100u);
}

TEST_F(FleetThreads, NewsAreRepeatedWithTimeAndWhenControlCouldNotTakeThem) {
  make(1);
  (*this)[0].fails = 3;
  start("a");
  ASSERT_TRUE(until([&] { return agree("a"); }));
  const std::size_t before = (*this)[0].news;
  ASSERT_TRUE(until([&] { return (*this)[0].news >= before + 2; }));
}

TEST_F(FleetThreads, StopIsIdempotentAndNothingArrivesAfterIt) {
  make(2);
  start(kNames);
  ASSERT_TRUE(until([&] { return agree(kNames); }));
  Member& stopped = (*this)[0];
  stopped.thread.stop();
  stopped.thread.stop();
  EXPECT_FALSE(stopped.covered());
  const std::size_t before = stopped.news;
  stopped.thread.post(fleet::DrainRequested{});
  stopped.thread.replace_keys(keys(kOtherKey));
  run_for(milliseconds(50));
  EXPECT_EQ(stopped.news, before);
}

TEST_F(FleetThreads, StopMayBeCalledByNewsAndBeforeTheStart) {
  make(2);
  bool left = false;
  (*this)[1].on_news = [&](const FleetNews& news) {
    if (!news.may_leave) return;
    left = true;
    (*this)[1].thread.stop();
  };
  (*this)[1].serve("a");
  (*this)[1].thread.post(fleet::DrainRequested{});
  (*this)[1].thread.post(fleet::Emptied{});
  (*this)[1].thread.start();
  EXPECT_TRUE(until([&] { return left; }));
  run_for(milliseconds(20));
}

// --- With a Lease

class FleetThreadsWithALease : public FleetThreads {
 protected:
  /// A roster in which all members serve.
  void write_roster() {
    fleet::Roster roster;
    roster.epoch = {.number = 7, .writer = members.front()->id()};
    for (const auto& member : members) {
      roster.members.push_back({.id = member->id(),
                                .pod_uid = member->address(),
                                .address = member->address(),
                                .started = 1,
                                .protocols = {},
                                .state = fleet::MemberState::kServing});
    }
    lease.roster = fleet::encode(roster);
  }
};

TEST_F(FleetThreadsWithALease, MembersTakeTheRosterFromItAndWriteIt) {
  make(3, true);
  write_roster();
  start(kNames);
  ASSERT_TRUE(until([&] { return agree(kNames); }));
  EXPECT_GE((*this)[0].newest->report.epoch.number, 7u);
  (*this)[2].thread.post(fleet::DrainRequested{});
  (*this)[2].thread.post(fleet::Emptied{});
  ASSERT_TRUE(until([&] { return (*this)[2].newest->may_leave; }));
  EXPECT_EQ((*this)[2].newest->report.state, "left");
  (*this)[2].thread.stop();
  members.pop_back();
  ASSERT_TRUE(until([&] { return agree(kNames); }));
  EXPECT_GE(lease.writes, 2u) << "leaving, and out";
  EXPECT_TRUE(until([&] { return (*this)[0].newest->report.members.size() == 2; }));
}

TEST_F(FleetThreadsWithALease, WithoutItAndWithoutAMajorityTheCoverageEndsAndWhatRunsIsCut) {
  make(2, true);
  write_roster();
  start(kNames);
  ASSERT_TRUE(until([&] { return agree(kNames); }));
  lease.away = true;
  (*this)[1].thread.stop();
  const dispatch::Coverage::BootTime end = (*this)[0].coverage.until();
  ASSERT_TRUE(until([&] { return !(*this)[0].newest->report.ready; }));
  EXPECT_FALSE((*this)[0].newest->must_cut) << "what runs has its grace";
  ASSERT_TRUE(until([&] { return (*this)[0].newest->must_cut; }));
  EXPECT_GE(boot_now().time_since_epoch(), end + quick_timing().running_grace);
  EXPECT_FALSE((*this)[0].covered());
  lease.away = false;
  EXPECT_TRUE(until([&] { return (*this)[0].covered() && !(*this)[0].newest->must_cut; }));
}

// --- Identity

TEST(FleetIdentity, IsAnotherOneAfterEachStart) {
  config::Fleet config;
  config.advertise = "10.0.0.1:9903";
  config.pod_uid = "uid";
  const fleet::Identity first = make_identity(config, "router-0");
  const fleet::Identity second = make_identity(config, "router-0");
  EXPECT_EQ(first.id.size(), std::string("router-0-").size() + 16);
  EXPECT_EQ(first.id.find_first_not_of("0123456789abcdef", 9), std::string::npos) << first.id;
  EXPECT_NE(first.id, second.id);
  EXPECT_EQ(first.address, "10.0.0.1:9903");
  EXPECT_EQ(first.pod_uid, "uid");
  EXPECT_GE(second.started, first.started);
  config.peers = {"10.0.0.1:9903"};
  EXPECT_EQ(make_identity(config, "router-0").pod_uid, "10.0.0.1:9903");
}

}  // namespace
}  // namespace router::serving::test

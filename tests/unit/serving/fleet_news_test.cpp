#include "router/serving/fleet_news.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "router/serving/fleet_log.h"

namespace router::serving::test {
namespace {

using runtime::Address;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// Alone among fixed peers, in virtual time.
class FleetReporterTest : public testing::Test {
 protected:
  FleetReporterTest() { pass(milliseconds(0)); }
  void pass(fleet::BootDuration time, fleet::Event event = fleet::Tick{}) {
    now += time;
    machine.handle(now, std::move(event));
  }
  std::optional<FleetNews> news() { return reporter.news(now, {}); }
  static fleet::Options options() {
    fleet::Options options;
    options.fixed_peers = {"10.0.0.1:9903"};
    return options;
  }

  fleet::BootTime now{seconds(100)};
  fleet::Machine machine{{.id = "own", .pod_uid = "10.0.0.1:9903", .address = "10.0.0.1:9903", .started = 1}, options(), now};
  FleetReporter reporter{machine};
};

TEST_F(FleetReporterTest, TellsAnAssignmentAndTheEndAtOnceAndTheRestNowAndThen) {
  ASSERT_TRUE(news()) << "the first";
  EXPECT_FALSE(news());
  EXPECT_EQ(reporter.ask_at(), now + milliseconds(50));
  pass(milliseconds(1), fleet::Served{{{"a", {{"pod", 1}}}}});
  const std::optional<FleetNews> served = news();
  ASSERT_TRUE(served);
  EXPECT_EQ(served->assignment->namespaces.size(), 1u);
  pass(milliseconds(75));
  EXPECT_FALSE(news());
  pass(milliseconds(50));
  const std::optional<FleetNews> again = news();
  ASSERT_TRUE(again);
  EXPECT_EQ(again->assignment, served->assignment) << "not copied again";
  pass(milliseconds(1), fleet::DrainRequested{});
  pass(milliseconds(0), fleet::Applied{.version = machine.assignment().version, .holdings = {}});
  ASSERT_FALSE(machine.may_leave()) << "requests of its clients may wait at the home";
  pass(milliseconds(0), fleet::Emptied{});
  ASSERT_TRUE(machine.may_leave());
  EXPECT_TRUE(news().value().may_leave);
}

TEST_F(FleetReporterTest, TellsAtOnceThatWhatRunsIsToBeCutAndThatServedIsKnown) {
  ASSERT_TRUE(news());
  pass(milliseconds(1), fleet::Served{});
  reporter.note_served();
  const std::optional<FleetNews> served = news();
  ASSERT_TRUE(served) << "though the assignment is the same";
  EXPECT_EQ(served->served, 1u);
  pass(milliseconds(1), fleet::PeerRefused{"own"});
  ASSERT_TRUE(machine.must_cut()) << "the others hold this process for dead";
  ASSERT_EQ(machine.assignment().version, served->assignment->version);
  EXPECT_TRUE(news().value().must_cut);
}

TEST_F(FleetReporterTest, TellsAnotherReadinessAfter50Milliseconds) {
  pass(fleet::Timing{}.abort_wait - milliseconds(10));
  EXPECT_FALSE(news().value().report.ready);
  pass(milliseconds(10));
  ASSERT_TRUE(machine.report(now).ready);
  EXPECT_FALSE(news()) << "a report was made 10 ms ago";
  EXPECT_EQ(reporter.ask_at(), now + milliseconds(40));
  pass(milliseconds(40));
  const std::optional<FleetNews> changed = news();
  ASSERT_TRUE(changed);
  EXPECT_TRUE(changed->report.ready);
}

TEST_F(FleetReporterTest, TellsAgainWhatControlCouldNotTake) {
  ASSERT_TRUE(news());
  reporter.not_taken(now);
  pass(milliseconds(49));
  EXPECT_FALSE(news()) << "control needs a moment";
  EXPECT_EQ(reporter.ask_at(), now + milliseconds(1));
  pass(milliseconds(1));
  EXPECT_TRUE(news());
}

TEST(FleetLog, BoundsTheLinesOfAMinute) {
  ManualClock clock;
  FleetLog log(clock);
  for (std::size_t i = 0; i < 2 * FleetLog::kLines; ++i) log.say(log::Level::kInfo, std::to_string(i));
  const std::vector<FleetLine> lines = log.take();
  EXPECT_EQ(lines.size(), FleetLog::kLines + 1);
  EXPECT_EQ(lines.back().text, "fleet: too many lines in a minute; the rest is not logged");
  EXPECT_TRUE(log.empty());
  clock.advance(FleetLog::kWindow);
  log.say(log::Level::kInfo, "again");
  EXPECT_EQ(log.take().size(), 1u);
}

TEST(FleetLog, SaysACauseAgainWhenItChangesOrTheAddressWasReached) {
  ManualClock clock;
  FleetLog log(clock);
  const Address address = *Address::parse("10.0.0.1", 9903);
  log.unreachable(address, "no answer in time", 0);
  log.unreachable(address, "no answer in time", 0);
  EXPECT_EQ(log.take().size(), 1u);
  log.unreachable(address, "connecting failed", ECONNREFUSED);
  EXPECT_EQ(log.take().size(), 1u);
  log.reached("10.0.0.1:9903");
  log.reached("10.0.0.1:9903");
  EXPECT_EQ(log.take().size(), 1u);
  log.unreachable(address, "connecting failed", ECONNREFUSED);
  EXPECT_EQ(log.take().size(), 1u);
  log.keep_only({});
  log.unreachable(address, "connecting failed", ECONNREFUSED);
  EXPECT_EQ(log.take().size(), 1u);
}

}  // namespace
}  // namespace router::serving::test

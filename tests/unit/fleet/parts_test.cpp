#include <gtest/gtest.h>

#include "router/fleet/busy_book.h"
#include "router/fleet/coverage.h"
#include "router/fleet/peer.h"
#include "router/fleet/votes.h"

namespace router::fleet {
namespace {

using std::chrono::seconds;
constexpr BootTime kStart{std::chrono::hours(1)};

Beat beat(std::uint64_t number, std::uint64_t echo = 0) {
  Beat made;
  made.number = number;
  made.echo = echo;
  return made;
}

TEST(FleetVotes, APromiseHoldsForOneRound) {
  Votes voter;
  Votes giver;
  voter.ask("y");
  const Vote first = voter.own().at(0);
  giver.agree("voter", first);
  EXPECT_FALSE(giver.acknowledges("y"));
  const std::vector<Vote> late = giver.given_to("voter");
  voter.withdraw("y");
  giver.asked_by("voter", voter.own());
  EXPECT_TRUE(giver.acknowledges("y"));
  voter.ask("y");
  voter.promised("giver", late.at(0), false);  // of the first round: its giver acknowledges y again
  EXPECT_TRUE(voter.promised_by("y")->empty());
  voter.promised("giver", late.at(0), true);  // Rules::rounds off: it would count
  EXPECT_EQ(voter.promised_by("y")->size(), 1U);
}

TEST(FleetVotes, APromiseToOneVoterStaysWhenAnotherWithdraws) {
  Votes giver;
  giver.agree("a", {.id = "y", .round = 1});
  giver.agree("b", {.id = "y", .round = 7});
  giver.asked_by("a", {});
  EXPECT_FALSE(giver.acknowledges("y"));
  giver.asked_by("b", {{.id = "y", .round = 7}});
  EXPECT_FALSE(giver.acknowledges("y"));
  giver.clear();
  EXPECT_TRUE(giver.acknowledges("y"));
}

TEST(FleetCoverage, CountsFromTheEvidenceAndNeverFallsWithAnEpoch) {
  Coverage coverage{seconds(3)};
  coverage.proven_at(kStart);
  EXPECT_EQ(coverage.until(), kStart + seconds(3));
  coverage.begin_epoch();
  EXPECT_EQ(coverage.until(), kStart + seconds(3));
  coverage.proven_at(kStart - seconds(1));
  EXPECT_EQ(coverage.until(), kStart + seconds(3));
  std::vector<BootTime> times{kStart, kStart + seconds(2), kStart + seconds(1)};
  EXPECT_EQ(Coverage::reached_by(2, times), kStart + seconds(1));
  EXPECT_EQ(Coverage::reached_by(4, times), kLongAgo);
}

TEST(FleetPeer, DropsCopiesAndLateFrames) {
  Peer peer(kStart);
  EXPECT_TRUE(peer.accept(beat(5)));
  EXPECT_FALSE(peer.accept(beat(5)));
  EXPECT_FALSE(peer.accept(beat(4)));
}

TEST(FleetPeer, HearsByRoundTripsAndAcknowledgesAtOneEpoch) {
  Peer peer(kStart);
  peer.sent(1, 7, kStart + seconds(1));
  peer.accept(beat(1, 1));
  EXPECT_EQ(peer.heard_at(), kStart + seconds(1));
  peer.acknowledge(1, 8, false, std::nullopt);
  EXPECT_EQ(peer.acknowledged_at(8), kLongAgo);
  peer.acknowledge(1, 7, false, std::nullopt);
  EXPECT_EQ(peer.acknowledged_at(7), kStart + seconds(1));
  for (std::uint64_t number = 2; number < 40; ++number) peer.sent(number, 7, kStart + seconds(2));
  peer.accept(beat(2, 1));  // too old to be known
  EXPECT_EQ(peer.heard_at(), kStart + seconds(1));
}

TEST(FleetBusy, CountsWhatIsToldAndWhatIsGoneUntilItsEnd) {
  BusyBook book;
  book.tell("a", {{"p", 2}, {"q", 1}});
  book.tell("b", {{"p", 1}});
  EXPECT_EQ(book.busy("p"), 3U);
  book.tell("a", {{"p", 1}});
  EXPECT_EQ(book.busy("p"), 2U);
  EXPECT_EQ(book.busy("q"), 0U);
  book.quarantine("a", kStart + seconds(1));
  EXPECT_EQ(book.busy("p"), 2U);
  EXPECT_FALSE(book.expire(kStart));
  EXPECT_TRUE(book.expire(kStart + seconds(1)));
  EXPECT_EQ(book.busy("p"), 1U);
  EXPECT_EQ(book.total(), 1U);
}

}  // namespace
}  // namespace router::fleet

#include <gtest/gtest.h>

#include <string>

#include "router/fleet/frame.h"
#include "router/fleet/roster.h"

namespace router::fleet {
namespace {

Roster roster_of(std::size_t members) {
  Roster roster{.epoch = {.number = 7, .writer = "router-a.1"}, .unproven = 5, .mended = 3, .members = {}};
  for (std::size_t i = 0; i < members; ++i) {
    roster.members.push_back({.id = "router." + std::to_string(i),
                              .pod_uid = "uid-" + std::to_string(i),
                              .address = "10.0.0." + std::to_string(i) + ":9903",
                              .started = -5,
                              .protocols = {.min = 1, .max = 2},
                              .state = static_cast<MemberState>(i % 3)});
  }
  return roster;
}

Beat full_beat() {
  return {.number = 9,
          .echo = 8,
          .epoch = {.number = 7, .writer = "w"},
          .acknowledges = true,
          .serving = true,
          .sees_you = true,
          .unlisted = true,
          .list = 77,
          .resigned = true,
          .roster = roster_of(3),
          .busy_revision = 4,
          .busy_seen = 3,
          .busy = BusyPods{{"uid\"1:80", 2}, {"b", 0}},
          .votes = {{.id = "x", .round = 2}},
          .promises = {{.id = "y", .round = 1}},
          .deaths = {{.id = "z", .proof = Proof::kForgotten}, {.id = "q", .proof = Proof::kBye}}};
}

TEST(FleetCodec, RosterComesBackAsItWas) {
  for (const std::size_t members : {0, 1, 64}) {
    const absl::StatusOr<Roster> read = decode_roster(encode(roster_of(members)));
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(*read, roster_of(members));
  }
}

TEST(FleetCodec, RosterCountsServingMembersAndTheirMajority) {
  EXPECT_EQ(roster_of(6).serving(), 2U);
  EXPECT_EQ(roster_of(6).majority(), 2U);
  EXPECT_EQ(roster_of(0).majority(), 1U);
}

TEST(FleetCodec, RosterIsRefusedWithTheFieldThatIsWrong) {
  EXPECT_FALSE(decode_roster("").ok());
  EXPECT_FALSE(decode_roster("[]").ok());
  EXPECT_FALSE(decode_roster(encode(roster_of(65))).ok());
  EXPECT_FALSE(decode_roster(std::string(kRosterTextMax + 1, ' ')).ok());
  Roster twice = roster_of(2);
  twice.members[1].id = twice.members[0].id;
  EXPECT_FALSE(decode_roster(encode(twice)).ok());
  Roster none = roster_of(1);
  none.epoch.number = 0;
  EXPECT_EQ(decode_roster(encode(none)).status().message(), "field epoch: zero");
}

TEST(FleetCodec, FramesComeBackAsTheyWere) {
  const Hello hello{.id = "a", .pod_uid = "u", .address = "h:1", .started = 5, .protocols = {.min = 1, .max = 3}};
  EXPECT_EQ(decode_frame(encode(hello)).value(), Frame(hello));
  EXPECT_EQ(decode_frame(encode(Bye{})).value(), Frame(Bye{}));
  EXPECT_EQ(decode_frame(encode(full_beat())).value(), Frame(full_beat()));
  EXPECT_EQ(decode_frame(encode(Beat{})).value(), Frame(Beat{}));
}

TEST(FleetCodec, BusyTextStandsForTheNumbers) {
  Beat beat = full_beat();
  const std::string text = encode_busy(*beat.busy);
  beat.busy.reset();
  EXPECT_EQ(decode_frame(encode(beat, text)).value(), Frame(full_beat()));
}

TEST(FleetCodec, UnknownFramesAndFieldsAreIgnored) {
  EXPECT_EQ(decode_frame(R"({"t":"lend","slots":3})").value(), Frame(UnknownFrame{}));
  EXPECT_EQ(decode_frame(R"({"t":"bye","why":{"a":[1]}})").value(), Frame(Bye{}));
  EXPECT_EQ(
      decode_frame(R"({"t":"beat","epoch":{"number":0,"writer":"","x":1},"deaths":[{"id":"a","proof":"oracle"}]})").value(),
      Frame(Beat{}));
}

TEST(FleetCodec, FramesBeyondTheirBoundsAreRefused) {
  EXPECT_FALSE(decode_frame(std::string(kFrameMax + 1, ' ')).ok());
  EXPECT_FALSE(decode_frame(std::string(100, '[')).ok());
  EXPECT_FALSE(decode_frame(R"({"t":"beat"})").ok());
  EXPECT_FALSE(decode_frame(R"({"t":"beat","epoch":{"number":-1}})").ok());
  EXPECT_FALSE(decode_frame(R"({"t":"beat","epoch":{"number":18446744073709551615}})").ok());
  EXPECT_FALSE(decode_frame(R"({"t":"hello","id":"a","proto":{"min":2,"max":1}})").ok());
  EXPECT_FALSE(decode_frame(R"({"t":"hello","id":")" + std::string(kNameMax + 1, 'a') + R"(","proto":{}})").ok());
  Beat beat;
  beat.busy.emplace();
  for (std::size_t i = 0; i <= kBusyPodsMax; ++i) beat.busy->emplace_back(std::to_string(i), 1);
  EXPECT_FALSE(decode_frame(encode(beat)).ok());
  beat.busy.reset();
  beat.votes.resize(kMembersMax + 1);
  EXPECT_FALSE(decode_frame(encode(beat)).ok());
}

}  // namespace
}  // namespace router::fleet

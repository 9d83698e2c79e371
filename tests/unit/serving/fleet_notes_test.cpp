#include "router/serving/fleet_notes.h"

#include <algorithm>

#include "tests/support/failing_memory.h"
#include "tests/unit/serving/fleet_world.h"

namespace router::serving::test {
namespace {

using router::test::FailingMemory;

fleet::Note note_of(std::string topic, std::string key, std::string body = "") {
  return {.topic = std::move(topic), .key = std::move(key), .body = std::move(body)};
}

std::vector<std::string> bodies_of(const std::vector<HeardNote>& notes) {
  std::vector<std::string> bodies;
  for (const HeardNote& each : notes) bodies.push_back(each.member + ":" + each.note.body);
  return bodies;
}

using Bodies = std::vector<std::string>;

TEST(FleetNoteBox, KeepsNotesInTheOrderOfTheirArrival) {
  NoteBox box;
  EXPECT_EQ(box.put("b", note_of("wake", "", "1")), 0U);
  EXPECT_EQ(box.put("a", note_of("signals", "", "2")), 0U);
  EXPECT_EQ(box.put("b", note_of("wake", "", "3")), 0U);
  EXPECT_EQ(bodies_of(box.take()), (Bodies{"b:1", "a:2", "b:3"}));
  EXPECT_TRUE(box.take().empty());
  EXPECT_EQ(box.bytes(), 0U);
}

TEST(FleetNoteBox, ReplacesANoteOfTheSameMemberTopicAndKey) {
  NoteBox box;
  box.put("a", note_of("signals", "0", "old"));
  box.put("a", note_of("signals", "1", "other key"));
  box.put("b", note_of("signals", "0", "other member"));
  box.put("a", note_of("wake", "0", "other topic"));
  box.put("a", note_of("signals", "0", "the newest"));
  EXPECT_EQ(bodies_of(box.take()), (Bodies{"a:the newest", "a:other key", "b:other member", "a:other topic"}));
}

TEST(FleetNoteBox, DropsTheOldestOfAMemberAndTopicThatHasTooMany) {
  NoteBox box;
  box.put("b", note_of("wake", "", "of another member"));
  std::size_t dropped = 0;
  for (std::size_t i = 0; i < NoteBox::kNotesMax + 10; ++i) dropped += box.put("a", note_of("wake", "", std::to_string(i)));
  EXPECT_EQ(dropped, 10U);
  const Bodies left = bodies_of(box.take());
  ASSERT_EQ(left.size(), NoteBox::kNotesMax + 1);
  EXPECT_EQ(left[0], "b:of another member");
  EXPECT_EQ(left[1], "a:10");
  EXPECT_EQ(left.back(), "a:" + std::to_string(NoteBox::kNotesMax + 9));
}

TEST(FleetNoteBox, HoldsSoManyBytesOfAMemberAndTopicAndOfAll) {
  NoteBox box;
  const std::string large(fleet::kNoteBodyMax, 'x');
  std::size_t put = 0;
  std::size_t dropped = 0;
  for (int member = 0; member < 20; ++member) {
    for (int i = 0; i < 10; ++i, ++put) dropped += box.put("m" + std::to_string(member), note_of("wake", "", large));
  }
  EXPECT_LE(box.bytes(), NoteBox::kTotalMax);
  const std::vector<HeardNote> left = box.take();
  EXPECT_EQ(left.size() + dropped, put);
  const auto of_first = std::count_if(left.begin(), left.end(), [](const HeardNote& each) { return each.member == "m0"; });
  EXPECT_EQ(static_cast<std::size_t>(of_first), NoteBox::kBytesMax / fleet::kNoteBodyMax);
  EXPECT_EQ(left.size(), NoteBox::kTotalMax / fleet::kNoteBodyMax);
}

TEST(FleetNoteBox, LosesOnlyTheNoteForWhichThereIsNoMemory) {
  for (std::size_t served = 0;; ++served) {
    NoteBox box;
    std::size_t put = 0;
    std::size_t failed = 0;
    std::vector<HeardNote> taken;
    const auto unless_short = [](auto step) {
      try {
        step();
      } catch (const std::bad_alloc&) {
      }
    };
    {
      FailingMemory memory(served, 1);
      for (const char* const key : {"0", "1"}) {
        unless_short([&] {
          box.put("a member with a long name", note_of("signals", key, "a body that needs memory of its own"));
          ++put;
        });
      }
      unless_short([&] { taken = box.take(); });
      failed = memory.failed();
    }
    EXPECT_EQ(taken.size() + box.take().size(), put) << served;
    EXPECT_EQ(box.bytes(), 0U);
    if (failed == 0) break;
  }
}

// --- between members

/// Two members whose threads and controls are the test's thread. Each has its own loop.
class FleetNotes : public testing::Test {
 protected:
  struct Running {
    Running(std::string id, std::vector<std::string> peers)
        : courier(
              fleet, control, [this](FleetLetter& letter) { deliver(letter); },
              [this](FleetLetter& letter) { member.courier_returned(letter); }),
          member(fleet, {.coverage = coverage, .courier = courier, .requests = [](runtime::Descriptor, const Address&) {}},
                 settings(std::move(id), std::move(peers))) {
      member.want_notes("signals");
      member.replace_keys(keys());
    }
    FleetMember::Settings settings(std::string id, std::vector<std::string> peers) {
      runtime::ListeningSocket listening = std::move(runtime::listen_on("127.0.0.1", 0, 1).value().front());
      address = "127.0.0.1:" + std::to_string(listening.port());
      fleet::Options options;
      options.timing = quick_timing();
      options.fixed_peers = std::move(peers);
      options.fixed_peers.push_back(address);
      return {.identity = {.id = std::move(id), .pod_uid = address, .address = address, .started = 1},
              .machine = std::move(options),
              .links = quick_links(),
              .listening = std::move(listening)};
    }
    void deliver(FleetLetter& letter) {
      for (const FleetLine& line : letter.lines) lines += line.text;
      for (HeardNote& each : letter.notes) heard.push_back(std::move(each));
      letters += letter.notes.empty() ? 0 : 1;
      if (letter.news) newest = *std::exchange(letter.news, std::nullopt);
      letter = {};
    }

    SteadyClock clock;
    runtime::Shard fleet{0, clock};
    runtime::Shard control{0, clock};
    dispatch::Coverage coverage;
    std::string address;
    std::vector<HeardNote> heard;
    std::size_t letters = 0;
    std::optional<FleetNews> newest;
    std::string lines;
    FleetCourier courier;
    FleetMember member;
  };

  FleetNotes() : a("a", {}), b("b", {a.address}) {}

  /// Turns the loops while real time passes; control of `a` only if it is not busy.
  bool until(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + seconds(4);
    while (std::chrono::steady_clock::now() < end) {
      if (condition()) return true;
      for (runtime::Shard* each : {&a.fleet, &b.fleet, &b.control}) router::test::poll(*each);
      if (!a_is_busy) router::test::poll(a.control);
      a.fleet.io().restart();
      a.fleet.io().run_one_for(milliseconds(1));
    }
    return false;
  }
  void tell(const std::string& key, const std::string& body) {
    b.member.send_note(std::string("a"), fleet::encode(note_of("signals", key, body)).value());
  }
  bool linked() {
    return until([&] { return b.newest && b.newest->links.opened > 0 && a.newest && a.newest->links.opened > 0; });
  }

  bool a_is_busy = false;
  Running a;
  Running b;
};

TEST_F(FleetNotes, ReachControlOnceWithTheSendersId) {
  ASSERT_TRUE(linked());
  tell("", "one");
  ASSERT_TRUE(until([&] { return !a.heard.empty(); }));
  EXPECT_EQ(bodies_of(a.heard), Bodies{"b:one"});
  EXPECT_EQ(a.heard.front().note, note_of("signals", "", "one"));
}

TEST_F(FleetNotes, OfWhichNewerOnesCameWhileControlWasBusyAreNotDelivered) {
  ASSERT_TRUE(linked());
  a_is_busy = true;
  for (int i = 0; i < 1000; ++i) tell("0", std::to_string(i));
  tell("1", "the end");
  ASSERT_TRUE(until([&] { return a.member.note_counts().heard == 1001; }));
  a_is_busy = false;
  ASSERT_TRUE(until([&] { return !a.heard.empty() && a.heard.back().note.body == "the end"; }));
  EXPECT_EQ(bodies_of(a.heard), (Bodies{"b:0", "b:999", "b:the end"})) << "the first one was under way already";
}

TEST_F(FleetNotes, ThatAreNotUnderstoodOrNotWantedAreIgnoredAndTheLinkGoesOn) {
  ASSERT_TRUE(linked());
  b.member.send_note(std::string("a"), R"({"t":"note","topic":7})");
  b.member.send_note(std::string("a"), fleet::encode(note_of("later", "", "x")).value());
  tell("", "afterwards");
  ASSERT_TRUE(until([&] { return !a.heard.empty() && a.newest->notes.heard > 0; }));
  EXPECT_EQ(bodies_of(a.heard), Bodies{"b:afterwards"});
  EXPECT_NE(a.lines.find("a note is ignored"), std::string::npos) << a.lines;
  EXPECT_EQ(a.newest->notes.dropped, 1U);
  EXPECT_EQ(a.newest->links.opened, b.newest->links.opened);
}

TEST_F(FleetNotes, ToNobodyAreSkipped) {
  ASSERT_TRUE(linked());
  b.member.send_note(std::string("nobody"), fleet::encode(note_of("signals", "", "x")).value());
  b.member.send_note(std::nullopt, fleet::encode(note_of("signals", "", "to all")).value());
  ASSERT_TRUE(until([&] { return !a.heard.empty() && b.newest->notes.sent > 0; }));
  EXPECT_EQ(b.newest->notes.skipped, 1U);
  EXPECT_EQ(b.newest->notes.sent, 1U);
}

// --- between threads

TEST_F(FleetThreads, ANoteReachesAllOrOneAndOneThatThrowsIsLost) {
  make(3);
  std::vector<std::vector<std::string>> heard(3);
  for (std::size_t i = 0; i < 3; ++i) {
    (*this)[i].thread.hear("signals", [&heard, i](const std::string& member, const fleet::Note& note) {
      if (note.body == "bad") throw std::bad_alloc();
      heard[i].push_back(member + ":" + note.body);
    });
  }
  start("a");
  ASSERT_TRUE(until([&] { return agree("a"); }));
  const std::string from = (*this)[0].id();
  EXPECT_TRUE((*this)[0].thread.tell(std::nullopt, note_of("signals", "", "bad")).ok());
  EXPECT_TRUE((*this)[0].thread.tell(std::nullopt, note_of("signals", "", "all")).ok());
  EXPECT_TRUE((*this)[0].thread.tell((*this)[2].id(), note_of("signals", "", "one")).ok());
  EXPECT_FALSE((*this)[0].thread.tell(std::nullopt, note_of("Signals", "", "")).ok());
  ASSERT_TRUE(until([&] { return heard[1].size() == 1 && heard[2].size() == 2; }));
  EXPECT_EQ(heard[1], Bodies{from + ":all"});
  EXPECT_EQ(heard[2], (Bodies{from + ":all", from + ":one"}));
  EXPECT_TRUE(heard[0].empty()) << "not to itself";
}

}  // namespace
}  // namespace router::serving::test

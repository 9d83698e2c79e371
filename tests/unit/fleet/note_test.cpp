#include "router/fleet/note.h"

#include <gtest/gtest.h>

#include "router/fleet/frame.h"
#include "router/fleet/machine.h"

namespace router::fleet {
namespace {

using std::chrono::seconds;

Note note_of(std::string topic, std::string key, std::string body) {
  return {.topic = std::move(topic), .key = std::move(key), .body = std::move(body)};
}

TEST(FleetNotes, ComeBackAsTheyWere) {
  for (const std::string& body :
       {std::string(), std::string("1\nns/a/b 1 2.5\n"), std::string("\"\\ \x01 \xc3\xa9"), std::string(kNoteBodyMax, 'x')}) {
    const Note note = note_of("signals", "key/1\"", body);
    const absl::StatusOr<std::string> frame = encode(note);
    ASSERT_TRUE(frame.ok()) << frame.status();
    EXPECT_TRUE(is_note(*frame));
    const absl::StatusOr<Note> read = decode_note(*frame);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(*read, note);
  }
}

TEST(FleetNotes, AreNotMadeBeyondTheirBounds) {
  EXPECT_TRUE(encode(note_of(std::string(kNoteTopicMax, 'a'), std::string(kNoteKeyMax, '~'), "")).ok());
  EXPECT_FALSE(encode(note_of("", "", "")).ok());
  EXPECT_FALSE(encode(note_of(std::string(kNoteTopicMax + 1, 'a'), "", "")).ok());
  EXPECT_FALSE(encode(note_of("Signals", "", "")).ok());
  EXPECT_FALSE(encode(note_of("a", std::string(kNoteKeyMax + 1, '~'), "")).ok());
  EXPECT_FALSE(encode(note_of("a", "two words", "")).ok());
  EXPECT_FALSE(encode(note_of("a", "", std::string(kNoteBodyMax + 1, 'x'))).ok());
  EXPECT_FALSE(encode(note_of("a", "", std::string(kNoteBodyMax, '\x01'))).ok()) << "six bytes each: longer than a frame";
}

TEST(FleetNotes, AreNotBelievedBeyondTheirBounds) {
  const auto decode = [](const std::string& fields) { return decode_note(R"({"t":"note",)" + fields + "}"); };
  EXPECT_TRUE(decode(R"("topic":"wake","key":"","body":"","later":[1])").ok()) << "a field of a later version";
  EXPECT_FALSE(decode(R"("key":"","body":"")").ok());
  EXPECT_FALSE(decode(R"("topic":7)").ok());
  EXPECT_FALSE(decode(R"("topic":"Wake")").ok());
  EXPECT_FALSE(decode(R"("topic":"wake","key":"\n")").ok());
  EXPECT_FALSE(decode(R"("topic":"wake","body":{})").ok());
  EXPECT_FALSE(decode(R"("topic":"wake","body":")" + std::string(kNoteBodyMax + 1, 'x') + '"').ok());
  EXPECT_FALSE(decode_note(R"({"t":"note")").ok());
}

TEST(FleetNotes, AreOfALaterVersionToWhoDoesNotKnowThem) {
  const absl::StatusOr<Frame> frame = decode_frame(encode(note_of("wake", "", "body")).value());
  ASSERT_TRUE(frame.ok()) << frame.status();
  EXPECT_TRUE(std::holds_alternative<UnknownFrame>(*frame));
  EXPECT_FALSE(is_note(encode(Beat{})));
  EXPECT_FALSE(is_note(encode(Bye{})));
}

TEST(FleetNotes, ChangeNothingInAMachineThatGetsOne) {
  BootTime now{seconds(100)};
  Options options;
  options.fixed_peers = {"10.0.0.1:1", "10.0.0.2:1"};
  Machine machine({.id = "a", .pod_uid = "10.0.0.1:1", .address = "10.0.0.1:1", .started = 1}, options, now);
  machine.handle(
      now,
      LinkOpened{
          1, encode(Hello{
                 .id = "b", .pod_uid = "10.0.0.2:1", .address = "10.0.0.2:1", .started = 2, .protocols = options.protocols})});
  machine.take_actions();
  machine.handle(now, FrameReceived{1, encode(note_of("wake", "", "body")).value()});
  EXPECT_TRUE(machine.take_actions().empty());
  machine.handle(now, FrameReceived{1, "{\"t\":\"note\",\"topic\":7}"});
  EXPECT_TRUE(machine.take_actions().empty()) << "not even the end of the link";
}

}  // namespace
}  // namespace router::fleet

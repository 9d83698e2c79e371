#include "router/fleet/note.h"

#include <absl/strings/str_cat.h>

#include <algorithm>

#include "router/base/json_text.h"
#include "router/fleet/frame.h"
#include "router/fleet/json_fields.h"

namespace router::fleet {
namespace {

constexpr std::string_view kBegin = R"({"t":"note",)";

absl::Status check(const Note& note) {
  const auto in_topic = [](char c) { return c >= 'a' && c <= 'z'; };
  const auto in_key = [](char c) { return c > ' ' && c <= '~'; };
  if (note.topic.empty() || note.topic.size() > kNoteTopicMax || !std::all_of(note.topic.begin(), note.topic.end(), in_topic))
    return absl::InvalidArgumentError("a note's topic is not 1 to 32 letters from a to z");
  if (note.key.size() > kNoteKeyMax || !std::all_of(note.key.begin(), note.key.end(), in_key))
    return absl::InvalidArgumentError("a note's key is not at most 256 visible ASCII characters");
  if (note.body.size() > kNoteBodyMax) return absl::InvalidArgumentError("a note's body is longer than 256 KB");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> encode(const Note& note) {
  if (absl::Status checked = check(note); !checked.ok()) return checked;
  std::string text(kBegin);
  absl::StrAppend(&text, R"("topic":")", note.topic, R"(","key":")");
  text.reserve(text.size() + note.key.size() + note.body.size() + note.body.size() / 8);
  append_json_text(text, note.key);
  text += R"(","body":")";
  append_json_text(text, note.body);
  text += R"("})";
  if (text.size() > kFrameMax) return absl::InvalidArgumentError("a note does not fit into a frame");
  return text;
}

bool is_note(std::string_view frame) { return frame.starts_with(kBegin); }

absl::StatusOr<Note> decode_note(std::string_view frame) {
  const absl::StatusOr<boost::json::object> object = parse_object(frame, kFrameMax);
  if (!object.ok()) return object.status();
  Fields fields(*object);
  Note note;
  fields.read("topic", note.topic, kNoteTopicMax);
  fields.read("key", note.key, kNoteKeyMax);
  fields.read("body", note.body, kNoteBodyMax);
  if (!fields.status().ok()) return fields.status();
  if (absl::Status checked = check(note); !checked.ok()) return checked;
  return note;
}

}  // namespace router::fleet

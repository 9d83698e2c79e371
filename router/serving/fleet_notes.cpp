#include "router/serving/fleet_notes.h"

#include <algorithm>
#include <utility>

namespace router::serving {

NoteBox::Waiting* NoteBox::find(Source& source, const std::string& key) {
  if (key.empty()) return nullptr;
  const auto found = std::find_if(source.notes.begin(), source.notes.end(),
                                  [&key](const Waiting& each) { return each.heard.note.key == key; });
  return found != source.notes.end() ? &*found : nullptr;
}

void NoteBox::drop_oldest(Source& source) noexcept {
  const std::size_t size = size_of(source.notes.front().heard.note);
  source.notes.pop_front();
  source.bytes -= size;
  bytes_ -= size;
}

std::size_t NoteBox::put(const std::string& member, fleet::Note note) {
  const std::size_t size = size_of(note);
  const auto known = sources_.find({member, note.topic});
  Waiting* const older = known != sources_.end() ? find(known->second, note.key) : nullptr;
  const std::size_t freed = older != nullptr ? size_of(older->heard.note) : 0;
  if (bytes_ - freed + size > kTotalMax) return 1;
  Source& source = known != sources_.end() ? known->second : sources_[{member, note.topic}];
  if (older != nullptr) {
    older->heard.note = std::move(note);
  } else {
    source.notes.push_back({.order = ++last_order_, .heard = {member, std::move(note)}});
  }
  source.bytes += size - freed;
  bytes_ += size - freed;
  std::size_t dropped = 0;
  for (; source.notes.size() > kNotesMax || source.bytes > kBytesMax; ++dropped) drop_oldest(source);
  return dropped;
}

std::vector<HeardNote> NoteBox::take() {
  std::vector<Waiting*> all;
  for (auto& [name, source] : sources_) {
    for (Waiting& each : source.notes) all.push_back(&each);
  }
  std::sort(all.begin(), all.end(), [](const Waiting* one, const Waiting* other) { return one->order < other->order; });
  std::vector<HeardNote> taken;
  taken.reserve(all.size());
  for (Waiting* each : all) taken.push_back(std::move(each->heard));  // needs no memory
  sources_.clear();
  bytes_ = 0;
  return taken;
}

}  // namespace router::serving

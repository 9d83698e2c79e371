#include "router/discovery/event_writer.h"

#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>
#include <openssl/sha.h>

#include <algorithm>
#include <utility>

#include "router/base/log.h"
#include "router/discovery/resource_kinds.h"
#include "router/kubernetes/requests.h"

namespace router::discovery {
namespace {

namespace json = boost::json;

const kubernetes::GroupVersionResource kEvents{"events.k8s.io", "v1", "events"};
constexpr std::size_t kNoteBytes = 1024;     // the API server's limit
constexpr std::size_t kInstanceBytes = 128;  // the API server's limit

/// The first eight bytes of a SHA-256 digest, in hexadecimal.
std::string digest(const std::string& text) {
  unsigned char bytes[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), bytes);
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(bytes), 8));
}

std::string name_of(const ResourceEvent& event) {
  return absl::StrCat(event.key.name, ".", digest(absl::StrCat(event.uid, "/", event.reason, "/", event.identity)));
}

/// Cuts the text to at most `bytes_max` bytes, at the end of a UTF-8 character.
std::string cut(const std::string& text, std::size_t bytes_max) {
  std::size_t end = std::min(text.size(), bytes_max);
  while (end > 0 && end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

}  // namespace

void EventWriter::begin() {
  for (const auto& [errand, event] : waiting_) errands_.ask(*this, errand);
}

bool EventWriter::full() const {
  const TimePoint now = control_.now();
  return waiting_.size() >= kWaitingMax || std::max(next_, now) + kEvery > now + kEvery * kBurst;
}

bool EventWriter::has_room() {
  if (full()) return false;
  next_ = std::max(next_, control_.now()) + kEvery;
  return true;
}

void EventWriter::refused(const ResourceStatus& status, std::string_view since) {
  ResourceEvent event;
  event.kind = status.kind;
  event.key = status.key;
  event.uid = status.uid;
  event.warning = true;
  event.action = "Accept";
  event.reason = status.accepted().reason;
  event.note = status.accepted().message;
  event.identity = since;
  tell(std::move(event));
}

void EventWriter::tell(ResourceEvent told) {
  if (!has_room()) {
    ++dropped_;
    return;
  }
  const std::string name = name_of(told);
  json::object regarding{{"apiVersion", resource_of(told.kind).api_version()},
                         {"kind", kind_name(told.kind)},
                         {"namespace", told.key.namespace_name},
                         {"name", told.key.name},
                         {"uid", told.uid}};
  json::object event{{"apiVersion", kEvents.api_version()},
                     {"kind", "Event"},
                     {"metadata", json::object{{"name", name}, {"namespace", told.key.namespace_name}}},
                     {"type", told.warning ? "Warning" : "Normal"},
                     {"action", told.action},
                     {"reason", told.reason},
                     {"note", cut(told.note, kNoteBytes)},
                     {"eventTime", kubernetes::micro_time_text(clock_())},
                     {"reportingController", source_.controller},
                     {"reportingInstance", cut(source_.instance, kInstanceBytes)},
                     {"regarding", std::move(regarding)}};
  const std::string errand = told.key.namespace_name + "/" + name;
  waiting_.insert_or_assign(errand, Waiting{told.key.namespace_name, std::move(event)});
  errands_.ask(*this, errand);
}

std::optional<kubernetes::ApiRequest> EventWriter::request_for(const std::string& name) {
  const auto found = waiting_.find(name);
  if (found == waiting_.end()) return std::nullopt;
  return kubernetes::create_request(kubernetes::collection_path(kEvents, found->second.namespace_name), found->second.event);
}

kubernetes::Sender::Outcome EventWriter::answered(const std::string& name, const kubernetes::ApiAnswer& answer) {
  const auto found = waiting_.find(name);
  if (found == waiting_.end()) return Outcome::kDone;
  const std::string namespace_name = found->second.namespace_name;
  waiting_.erase(found);
  if (answer.succeeded() || answer.status == 409) {  // 409: the Event exists already
    refusals_.recovered();
    return Outcome::kDone;
  }
  ++dropped_;
  if (refusals_.should_log("any")) {
    const char* hint = answer.status == 403 ? ": allow the verb create on events.events.k8s.io" : "";
    log::warning(absl::StrCat("kubernetes: the API server refuses an Event in namespace ", namespace_name, " (", answer.status,
                              ")", hint));
  }
  return Outcome::kDone;
}

}  // namespace router::discovery

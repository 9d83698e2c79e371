#include "router/fleet/frame.h"

#include <absl/strings/str_cat.h>

#include <array>
#include <boost/json/serialize.hpp>
#include <utility>

#include "router/base/json_text.h"
#include "router/fleet/roster_json.h"

namespace router::fleet {

namespace json = boost::json;

namespace {

constexpr std::array<std::string_view, 4> kProofNames = {"later", "refused", "bye", "forgotten"};  // in the order of Proof

json::array array_of(const std::vector<Vote>& votes) {
  json::array array;
  array.reserve(votes.size());
  for (const Vote& vote : votes) array.push_back(json::object{{"id", vote.id}, {"round", vote.round}});
  return array;
}

json::array array_of(const std::vector<Death>& deaths) {
  json::array array;
  array.reserve(deaths.size());
  for (const Death& death : deaths) {
    const std::string_view name = kProofNames.at(static_cast<std::size_t>(death.proof));
    array.push_back(json::object{{"id", death.id}, {"proof", json::string_view(name.data(), name.size())}});
  }
  return array;
}

void read_votes(Fields& fields, std::string_view key, std::vector<Vote>& votes) {
  const json::array* const array = fields.array(key, kMembersMax);
  for (std::size_t i = 0; array != nullptr && i < array->size(); ++i) {
    const json::object* const one = (*array)[i].if_object();
    if (one == nullptr) return fields.refuse(key, "not an object");
    Fields inner(*one);
    Vote& vote = votes.emplace_back();
    inner.read("id", vote.id, kNameMax);
    inner.read("round", vote.round);
    if (!inner.status().ok()) return fields.refuse(key, inner.status());
  }
}

void read_deaths(Fields& fields, std::vector<Death>& deaths) {
  const json::array* const array = fields.array("deaths", kDeathsMax);
  for (std::size_t i = 0; array != nullptr && i < array->size(); ++i) {
    const json::object* const one = (*array)[i].if_object();
    if (one == nullptr) return fields.refuse("deaths", "not an object");
    Fields inner(*one);
    Death death;
    std::string proof;
    inner.read("id", death.id, kNameMax);
    inner.read("proof", proof, kNameMax);
    if (!inner.status().ok()) return fields.refuse("deaths", inner.status());
    for (std::size_t known = 0; known < kProofNames.size(); ++known) {
      if (proof != kProofNames.at(known)) continue;  // a proof that only a later version knows proves nothing here
      death.proof = static_cast<Proof>(known);
      deaths.push_back(death);
    }
  }
}

void read_busy(Fields& fields, std::optional<BusyPods>& busy) {
  const json::object* const object = fields.object("busy", kBusyPodsMax);
  if (object == nullptr) return;
  busy.emplace();
  busy->reserve(object->size());
  for (const auto& [pod, count] : *object) {
    boost::system::error_code error;
    const auto connections = count.to_number<std::uint32_t>(error);
    if (error || pod.size() > kNameMax) return fields.refuse("busy", "not a number of connections");
    busy->emplace_back(std::string(pod.data(), pod.size()), connections);
  }
}

absl::StatusOr<Frame> hello_from(Fields& fields) {
  Hello hello;
  fields.read("id", hello.id, kNameMax);
  fields.read("pod", hello.pod_uid, kNameMax);
  fields.read("address", hello.address, kNameMax);
  fields.read("started", hello.started);
  read(fields, hello.protocols);
  if (hello.id.empty()) fields.refuse("id", "empty");
  if (!fields.status().ok()) return fields.status();
  return hello;
}

absl::StatusOr<Frame> beat_from(Fields& fields) {
  Beat beat;
  read(fields, beat.epoch);
  fields.read("n", beat.number);
  fields.read("echo", beat.echo);
  fields.read("ack", beat.acknowledges);
  fields.read("serving", beat.serving);
  fields.read("sees_you", beat.sees_you);
  fields.read("unlisted", beat.unlisted);
  fields.read("list", beat.list);
  fields.read("resigned", beat.resigned);
  fields.read("busy_revision", beat.busy_revision);
  fields.read("busy_seen", beat.busy_seen);
  read_votes(fields, "votes", beat.votes);
  read_votes(fields, "promises", beat.promises);
  read_deaths(fields, beat.deaths);
  read_busy(fields, beat.busy);
  if (const json::object* const object = fields.object("roster", 16)) {
    absl::StatusOr<Roster> roster = roster_from(*object);
    if (roster.ok())
      beat.roster = *std::move(roster);
    else
      fields.refuse("roster", roster.status());
  }
  if (!fields.status().ok()) return fields.status();
  return beat;
}

}  // namespace

std::string encode(const Hello& hello) {
  return json::serialize(json::object{{"t", "hello"},
                                      {"id", hello.id},
                                      {"pod", hello.pod_uid},
                                      {"address", hello.address},
                                      {"started", hello.started},
                                      {"proto", object_of(hello.protocols)}});
}

std::string encode(const Beat& beat, std::string_view busy_text) {
  json::object object{{"t", "beat"},
                      {"n", beat.number},
                      {"echo", beat.echo},
                      {"epoch", object_of(beat.epoch)},
                      {"busy_revision", beat.busy_revision},
                      {"busy_seen", beat.busy_seen}};
  if (beat.acknowledges) object["ack"] = true;
  if (beat.serving) object["serving"] = true;
  if (beat.sees_you) object["sees_you"] = true;
  if (beat.unlisted) object["unlisted"] = true;
  if (beat.list != 0) object["list"] = beat.list;
  if (beat.resigned) object["resigned"] = true;
  if (beat.roster) object["roster"] = object_of(*beat.roster);
  if (!beat.votes.empty()) object["votes"] = array_of(beat.votes);
  if (!beat.promises.empty()) object["promises"] = array_of(beat.promises);
  if (!beat.deaths.empty()) object["deaths"] = array_of(beat.deaths);
  std::string text = json::serialize(object);
  const std::string own_busy = busy_text.empty() && beat.busy ? encode_busy(*beat.busy) : std::string(busy_text);
  if (!own_busy.empty()) {
    text.pop_back();
    absl::StrAppend(&text, ",\"busy\":", own_busy, "}");
  }
  return text;
}

std::string encode(const Bye&) { return R"({"t":"bye"})"; }

std::string encode_busy(const BusyPods& busy) {
  std::string text = "{";
  for (const auto& [pod, connections] : busy) {
    text += text.size() == 1 ? "\"" : ",\"";
    append_json_text(text, pod);
    absl::StrAppend(&text, "\":", connections);
  }
  return text += "}";
}

absl::StatusOr<Frame> decode_frame(std::string_view text) {
  const absl::StatusOr<json::object> object = parse_object(text, kFrameMax);
  if (!object.ok()) return object.status();
  Fields fields(*object);
  std::string type;
  fields.read("t", type, kNameMax);
  if (!fields.status().ok()) return fields.status();
  if (type == "beat") return beat_from(fields);
  if (type == "hello") return hello_from(fields);
  if (type == "bye") return Bye{};
  return UnknownFrame{};
}

}  // namespace router::fleet

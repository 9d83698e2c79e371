#include "router/fleet/roster.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <optional>
#include <utility>

#include "router/fleet/roster_json.h"

namespace router::fleet {

namespace json = boost::json;

namespace {

std::optional<MemberState> state_named(std::string_view name) {
  for (const MemberState state : {MemberState::kJoining, MemberState::kServing, MemberState::kLeaving})
    if (name == name_of(state)) return state;
  return std::nullopt;
}

json::object object_of(const Member& member) {
  json::object object;
  object["id"] = member.id;
  object["pod"] = member.pod_uid;
  object["address"] = member.address;
  object["started"] = member.started;
  object["proto"] = fleet::object_of(member.protocols);
  object["state"] = json::string_view(name_of(member.state).data(), name_of(member.state).size());
  return object;
}

absl::StatusOr<Member> member_from(const json::object& object) {
  Member member;
  std::string state;
  Fields fields(object);
  fields.read("id", member.id, kNameMax);
  fields.read("pod", member.pod_uid, kNameMax);
  fields.read("address", member.address, kNameMax);
  fields.read("started", member.started);
  fields.read("state", state, kNameMax);
  read(fields, member.protocols);
  const std::optional<MemberState> known = state_named(state);
  if (member.id.empty()) fields.refuse("id", "empty");
  if (!known) fields.refuse("state", "not known");
  if (!fields.status().ok()) return fields.status();
  member.state = *known;
  return member;
}

}  // namespace

std::string_view name_of(MemberState state) {
  switch (state) {
    case MemberState::kJoining: return "joining";
    case MemberState::kServing: return "serving";
    case MemberState::kLeaving: return "leaving";
  }
  std::abort();
}

const Member* Roster::find(std::string_view id) const {
  const auto found = std::find_if(members.begin(), members.end(), [id](const Member& member) { return member.id == id; });
  return found == members.end() ? nullptr : &*found;
}

std::size_t Roster::serving() const {
  return static_cast<std::size_t>(std::count_if(members.begin(), members.end(),
                                                [](const Member& member) { return member.state == MemberState::kServing; }));
}

json::object object_of(const Epoch& epoch) {
  json::object object;
  object["number"] = epoch.number;
  object["writer"] = epoch.writer;
  return object;
}

json::object object_of(const Protocols& protocols) {
  json::object object;
  object["min"] = protocols.min;
  object["max"] = protocols.max;
  return object;
}

json::object object_of(const Roster& roster) {
  json::object object;
  object["epoch"] = object_of(roster.epoch);
  object["unproven"] = roster.unproven;
  object["mended"] = roster.mended;
  json::array& members = (object["members"] = json::array()).get_array();
  members.reserve(roster.members.size());
  for (const Member& member : roster.members) members.push_back(object_of(member));
  return object;
}

void read(Fields& fields, Epoch& epoch) {
  const json::object* const object = fields.object("epoch", 16);
  if (object == nullptr) return fields.refuse("epoch", "missing");
  Fields inner(*object);
  inner.read("number", epoch.number);
  inner.read("writer", epoch.writer, kNameMax);
  if (!inner.status().ok()) fields.refuse("epoch", inner.status());
}

void read(Fields& fields, Protocols& protocols) {
  const json::object* const object = fields.object("proto", 16);
  if (object == nullptr) return fields.refuse("proto", "missing");
  Fields inner(*object);
  inner.read("min", protocols.min);
  inner.read("max", protocols.max);
  if (protocols.min > protocols.max) inner.refuse("min", "over max");
  if (!inner.status().ok()) fields.refuse("proto", inner.status());
}

absl::StatusOr<Roster> roster_from(const json::object& object) {
  Roster roster;
  Fields fields(object);
  read(fields, roster.epoch);
  fields.read("unproven", roster.unproven);
  fields.read("mended", roster.mended);
  const json::array* const members = fields.array("members", kMembersMax);
  for (std::size_t i = 0; members != nullptr && i < members->size(); ++i) {
    const json::object* const one = (*members)[i].if_object();
    absl::StatusOr<Member> member = one != nullptr ? member_from(*one) : absl::InvalidArgumentError("not an object");
    if (!member.ok())
      fields.refuse("members", member.status());
    else if (roster.find(member->id) != nullptr)
      fields.refuse("members", "one id twice");
    else
      roster.members.push_back(*std::move(member));
  }
  if (roster.epoch.number == 0) fields.refuse("epoch", "zero");
  if (!fields.status().ok()) return fields.status();
  return roster;
}

std::string encode(const Roster& roster) { return json::serialize(object_of(roster)); }

absl::StatusOr<Roster> decode_roster(std::string_view text) {
  absl::StatusOr<json::object> object = parse_object(text, kRosterTextMax);
  if (!object.ok()) return object.status();
  return roster_from(*object);
}

}  // namespace router::fleet

#include "config/reader.h"

#include <algorithm>
#include <charconv>

#include "config/expand.h"
#include "config/file_text.h"
#include "config/slips.h"

namespace router::config {

using Kind = YamlValue::Kind;
using Known = Outline::Field::Kind;

namespace {

const YamlValue kNothing;

/// Shows the intended list in a form that can be copied. A text that YAML could misread inside a list is quoted.
std::string expected_list(const std::string& key, const YamlValue& instead) {
  if (instead.kind != Kind::kScalar || instead.scalar.empty()) return "a list is expected";
  const auto is_plain = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view("._:/-").find(c) != std::string_view::npos;
  };
  const std::string& text = instead.scalar;
  const std::string quote = std::all_of(text.begin(), text.end(), is_plain) ? "" : text.find('\'') == text.npos ? "'" : "\"";
  return "a list is expected, such as " + shown(key + ": [" + quote + text + quote + "]", 160);
}

/// A form that is the same for different spellings of a key: `AuthMode`, `auth-mode`.
std::string letters_of(std::string key) {
  std::erase_if(key, [](char c) { return c == '_' || c == '-'; });
  return lower_case(std::move(key));
}

}  // namespace

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return text;
}

MapReader::MapReader(std::string file, const YamlValue& map, std::string path, Findings& findings, Source source)
    : file_(std::move(file)), map_(map), path_(std::move(path)), findings_(findings), source_(source) {
  for (const YamlValue::Member& each : map.members) index_.emplace(each.key, &each);
}

MapReader MapReader::outlining(Outline& into, Findings& findings, Source source) {
  MapReader reader("", kNothing, "", findings, source);
  reader.outline_ = &into;
  return reader;
}

MapReader MapReader::inside(const YamlValue& map, const Location& at) const {
  MapReader inner(at.file, map, at.path, findings_, source_);
  inner.described_ = described_;
  return inner;
}

MapReader MapReader::inside(Outline::Field& field) const {
  if (field.inner == nullptr) field.inner = std::make_unique<Outline>();
  return outlining(*field.inner, findings_, source_);
}

Outline::Field* MapReader::note(const std::string& key, Known kind) const {
  if (outline_ == nullptr) return nullptr;
  Outline::Field& field = outline_->fields[key];
  if (kind != Known::kUnused) field.kind = kind;  // `ignore` keeps the kind of a key that was read before
  return &field;
}

void MapReader::note_default(const std::string& key, Known kind, std::string initial) const {
  if (Outline::Field* field = note(key, kind)) field->initial = std::move(initial);
}

const YamlValue::Member* MapReader::member(const std::string& key) const {
  const auto found = index_.find(key);
  return found == index_.end() ? nullptr : found->second;
}

std::vector<std::string> MapReader::names() const {
  if (outline_ != nullptr) return {Outline::kAnyName};
  std::vector<std::string> all;
  all.reserve(map_.members.size());
  for (const YamlValue::Member& each : map_.members) all.push_back(each.key);
  return all;
}

std::vector<YamlValue::Member> MapReader::members() const {
  std::vector<YamlValue::Member> all = map_.members;
  for (YamlValue::Member& each : all) each.elsewhere = std::make_shared<const Location>(location(each.key));
  return all;
}

std::string MapReader::path_of(const std::string& key) const { return path_ + (path_.empty() ? "" : ".") + shown_key(key); }

Location MapReader::location(const std::string& key) const {
  const YamlValue::Member* found = member(key);
  if (found != nullptr && found->elsewhere != nullptr) return *found->elsewhere;
  return {file_, found != nullptr ? found->line : map_.line, path_of(key)};
}

bool MapReader::is_scalar(const std::string& key) const {
  if (Outline::Field* field = note(key, Known::kUnused)) field->or_text = true;
  const YamlValue::Member* found = member(key);
  return found != nullptr && found->value->kind == Kind::kScalar;
}

std::string MapReader::plain_text(const std::string& key) const { return is_scalar(key) ? member(key)->value->scalar : ""; }

const YamlValue* MapReader::find(const std::string& key) {
  asked_.insert(key);
  const YamlValue::Member* found = member(key);
  if (found == nullptr) return nullptr;
  if (found->value->kind != Kind::kNull) return found->value.get();
  mistake(key, "has no value; leave the key out for the default");
  return nullptr;
}

const YamlValue* MapReader::find(const std::string& key, Kind kind, const char* expected) {
  const YamlValue* value = find(key);
  if (value == nullptr || value->kind == kind) return value;
  const char* hint = kind == Kind::kSequence ? ", in which each map begins with `- `" : "";
  mistake(key, std::string(expected) + " is expected" + hint);
  return nullptr;
}

std::optional<std::string> MapReader::scalar(const YamlValue& value, const Location& at) {
  if (value.kind != Kind::kScalar) {
    findings_.mistake(at, "a single value is expected");
    return std::nullopt;
  }
  if (is_resource()) return value.scalar;
  if (const std::string name = placeholder_in(value.scalar); !name.empty()) {
    findings_.mistake(at, "the placeholder " + shown(name) + " has not been replaced by a value");
    return std::nullopt;
  }
  Expanded expanded = expand(value.scalar);
  if (expanded.mistake.empty()) return std::move(expanded.text);
  findings_.mistake(at, expanded.mistake);
  return std::nullopt;
}

std::optional<std::string> MapReader::text(const std::string& key) {
  if (outline_ != nullptr && !outline_->fields.contains(key)) note(key, Known::kText);  // a number has its kind already
  const YamlValue* value = find(key);
  return value == nullptr ? std::nullopt : scalar(*value, location(key));
}

std::string MapReader::required_text(const std::string& key) {
  if (Outline::Field* field = note(key, Known::kText)) field->required = true;
  if (!has(key)) {
    asked_.insert(key);
    mistake(key, "is missing");
    return {};
  }
  const std::optional<std::string> value = text(key);
  if (value && value->empty()) mistake(key, "is empty; a text is expected");
  return value.value_or("");
}

std::optional<std::string> MapReader::path(const std::string& key) {
  const std::optional<std::string> value = text(key);
  if (!value) return std::nullopt;
  if (!value->empty() && value->find('\0') == std::string::npos) return absolute_path(location(key).file, *value);
  mistake(key, "a path is expected");
  return std::nullopt;
}

std::optional<std::int64_t> MapReader::integer(const std::string& key, Range range) {
  if (Outline::Field* field = note(key, Known::kNumber)) field->range = range;
  const std::optional<std::string> value = text(key);
  if (!value) return std::nullopt;
  std::int64_t number = 0;
  const char* end = value->data() + value->size();
  const std::from_chars_result parsed = std::from_chars(value->data(), end, number);
  if (parsed.ec == std::errc() && parsed.ptr == end && number >= range.least && number <= range.most) return number;
  const std::string unit = *range.unit == '\0' ? "" : std::string(" ") + range.unit;
  mistake(key, shown(*value) + " is not a whole number from " + std::to_string(range.least) + " to " +
                   std::to_string(range.most) + unit);
  return std::nullopt;
}

std::optional<bool> MapReader::boolean(const std::string& key) {
  note(key, Known::kFlag);
  const std::optional<std::string> value = text(key);
  if (!value) return std::nullopt;
  const std::string spelled = lower_case(*value);
  if (spelled == "true" || spelled == "yes" || spelled == "on") return true;  // YAML 1.1, as the Azure CLI reads it
  if (spelled == "false" || spelled == "no" || spelled == "off") return false;
  mistake(key, shown(*value) + " is neither true nor false");
  return std::nullopt;
}

std::optional<std::size_t> MapReader::word(const std::string& key, std::initializer_list<const char*> words) {
  if (Outline::Field* field = note(key, Known::kWord)) field->words.assign(words.begin(), words.end());
  const std::optional<std::string> value = text(key);
  if (!value) return std::nullopt;
  std::string allowed;
  std::size_t index = 0;
  for (const char* each : words) {
    if (lower_case(*value) == lower_case(each)) return index;
    allowed += (index++ == 0 ? "" : ", ") + std::string(each);
  }
  mistake(key, shown(*value) + " is not one of: " + allowed);
  return std::nullopt;
}

std::optional<MapReader> MapReader::map(const std::string& key) {
  if (Outline::Field* field = note(key, Known::kMap)) return inside(*field);
  const YamlValue* value = find(key, Kind::kMap, "a map of keys");
  if (value == nullptr) return std::nullopt;
  const Location from = location(key);
  return inside(*value, from);
}

std::vector<MapReader> MapReader::maps(const std::string& key) {
  if (Outline::Field* field = note(key, Known::kMaps)) return {inside(*field)};
  std::vector<MapReader> all;
  const YamlValue* value = find(key, Kind::kSequence, "a list");
  const Location from = location(key);
  for (std::size_t index = 0; value != nullptr && index < value->items.size(); ++index) {
    const YamlValue& item = *value->items[index];
    const Location at{from.file, item.line, from.path + "[" + std::to_string(index) + "]"};
    if (item.kind == Kind::kMap) {
      all.push_back(inside(item, at));
    } else {
      findings_.mistake(at, "a map of keys is expected");
    }
  }
  return all;
}

std::vector<MapReader> MapReader::some_maps(const std::string& key, const char* expected) {
  if (Outline::Field* field = note(key, Known::kMaps)) field->required = true;
  const std::size_t mistakes_before = findings_.count();
  std::vector<MapReader> all = maps(key);
  if (all.empty() && findings_.count() == mistakes_before) mistake(key, expected);
  return all;
}

std::vector<MapReader::Item> MapReader::texts(const std::string& key) {
  note(key, Known::kTexts);
  std::vector<Item> all;
  const YamlValue* value = find(key);
  if (value != nullptr && value->kind != Kind::kSequence) {
    mistake(key, expected_list(key, *value));
    return all;
  }
  const Location from = location(key);
  for (std::size_t index = 0; value != nullptr && index < value->items.size(); ++index) {
    const YamlValue& item = *value->items[index];
    Location at{from.file, item.line, from.path + "[" + std::to_string(index) + "]"};
    std::optional<std::string> each = scalar(item, at);
    if (!each) continue;
    if (each->empty()) {
      findings_.mistake(std::move(at), "is empty; a text is expected");
    } else {
      all.push_back({std::move(*each), std::move(at)});
    }
  }
  return all;
}

std::map<std::string, std::string> MapReader::text_map(const std::string& key) {
  std::map<std::string, std::string> all;
  if (note(key, Known::kTextMap) != nullptr) return all;
  std::optional<MapReader> inner = map(key);
  if (!inner) return all;
  for (const YamlValue::Member& each : inner->map_.members) {
    if (each.value->kind == Kind::kNull) {
      all[each.key];
    } else if (placeholder_in(each.value->scalar).empty()) {
      if (auto text = inner->scalar(*each.value, inner->location(each.key))) all[each.key] = std::move(*text);
    } else {
      all[each.key] = each.value->scalar;  // tags may hold any text
    }
  }
  return all;
}

void MapReader::ignore(std::initializer_list<const char*> keys, std::vector<std::string>& told) {
  for (const char* key : keys) {
    asked_.insert(key);
    note(key, Known::kUnused);
    if (has(key)) told.push_back(path_of(key));
  }
}

void MapReader::ignore(std::initializer_list<const char*> keys) {
  std::vector<std::string> told;
  ignore(keys, told);
}

void MapReader::refuse(const std::string& key, const char* why) {
  refused_.insert(key);
  note(key, Known::kRefused);
  if (has(key)) mistake(key, why);
}

std::string MapReader::probable_meaning(const std::string& key, bool in_overlay) const {
  const auto is_part = [meant = letters_of(key)](const std::string& each) { return letters_of(each).find(meant) != each.npos; };
  const auto near = key.size() < 4 ? asked_.end() : std::find_if(asked_.begin(), asked_.end(), is_part);
  if (near != asked_.end()) return "; perhaps " + shown(*near) + " is meant";
  const bool of_a_deployment =
      in_overlay && described_ == Described::kEndpoint && is_key_of_router(key, Described::kDeployment);
  if (of_a_deployment) return "; it belongs at " + shown("deployments.NAME." + key);
  if (in_overlay && key == "router") return "; leave it out, and write its keys here";
  const std::string elsewhere = where_known(key, described_, source_);
  if (elsewhere.empty()) return "";
  return "; " + elsewhere + (in_overlay ? " in the file of Azure ML" : "");
}

void MapReader::finish(std::initializer_list<const char*> in_overlays) {
  const auto listed = [](const std::set<std::string>& keys) {
    std::string all;
    for (const std::string& each : keys) all += (all.empty() ? "" : ", ") + each;
    return all;
  };
  std::set<std::string> known = asked_;
  known.insert(in_overlays.begin(), in_overlays.end());
  for (const YamlValue::Member& each : map_.members) {
    if (asked_.contains(each.key) || refused_.contains(each.key)) continue;
    const std::set<std::string>& known_there = each.elsewhere == nullptr ? asked_ : known;
    findings_.mistake(location(each.key), "unknown key" + probable_meaning(each.key, each.elsewhere != nullptr) +
                                              "; known here: " + listed(known_there));
  }
}

void read_checked(MapReader& map, const char* key, Check is_good, const char* expected, std::string& into) {
  const std::optional<std::string> text = map.text(key);
  if (!text) return;
  into = *text;
  if (!is_good(*text)) map.mistake(key, shown(*text) + " is not " + expected);
}

}  // namespace router::config

#include "config/reader.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>

namespace router::config {

using Kind = YamlValue::Kind;

namespace {

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

}  // namespace

std::string expand(const std::string& text, std::string& missing) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '$' && i + 1 < text.size() && text[i + 1] == '$') {
      result.push_back('$');
      ++i;
    } else if (text.compare(i, 2, "${") == 0 && text.find('}', i) != std::string::npos) {
      const std::size_t end = text.find('}', i);
      const std::string name = text.substr(i + 2, end - i - 2);
      const char* value = std::getenv(name.c_str());
      if (value == nullptr) missing = name;
      result.append(value != nullptr ? value : "");
      i = end;
    } else {
      result.push_back(text[i]);
    }
  }
  return result;
}

MapReader::MapReader(const std::string& file, const YamlValue& map, std::string path, std::vector<Mistake>& mistakes)
    : file_(file), map_(map), path_(std::move(path)), mistakes_(mistakes) {
  std::set<std::string> seen;
  for (const YamlValue::Member& member : map.members) {
    if (!seen.insert(member.key).second) add(member.line, member.key, "this key is given twice");
  }
}

void MapReader::add(int line, const std::string& key, const std::string& what) {
  mistakes_.push_back({file_, line, path_of(key) + ": " + what});
}

bool MapReader::has(const std::string& key) const {
  return std::any_of(map_.members.begin(), map_.members.end(),
                     [&key](const YamlValue::Member& member) { return member.key == key; });
}

bool MapReader::is_scalar(const std::string& key) const {
  return std::any_of(map_.members.begin(), map_.members.end(), [&key](const YamlValue::Member& member) {
    return member.key == key && member.value->kind == Kind::kScalar;
  });
}

int MapReader::line_of(const std::string& key) const {
  for (const YamlValue::Member& member : map_.members) {
    if (member.key == key) return member.line;
  }
  return map_.line;
}

void MapReader::mistake(const std::string& key, const std::string& what) { add(line_of(key), key, what); }

const YamlValue* MapReader::find(const std::string& key) {
  asked_.insert(key);
  for (const YamlValue::Member& member : map_.members) {
    if (member.key == key && member.value->kind != Kind::kNull) return member.value.get();
  }
  return nullptr;
}

std::optional<std::string> MapReader::scalar(const YamlValue& value, const std::string& key, int line) {
  if (value.kind != Kind::kScalar) {
    add(line, key, "a single value is expected");
    return std::nullopt;
  }
  std::string missing;
  std::string expanded = expand(value.scalar, missing);
  if (missing.empty()) return expanded;
  add(line, key, "the environment variable " + missing + " is not set");
  return std::nullopt;
}

std::optional<std::string> MapReader::text(const std::string& key) {
  const YamlValue* value = find(key);
  return value == nullptr ? std::nullopt : scalar(*value, key, value->line);
}

std::optional<std::int64_t> MapReader::integer(const std::string& key, std::int64_t least, std::int64_t most) {
  const std::optional<std::string> digits = text(key);
  if (!digits) return std::nullopt;
  std::int64_t number = 0;
  const auto parsed = std::from_chars(digits->data(), digits->data() + digits->size(), number);
  if (parsed.ec != std::errc() || parsed.ptr != digits->data() + digits->size() || digits->empty() || number < least ||
      number > most) {
    mistake(key, "a whole number from " + std::to_string(least) + " to " + std::to_string(most) + " is expected");
    return std::nullopt;
  }
  return number;
}

std::optional<bool> MapReader::boolean(const std::string& key) {
  const std::optional<std::string> value = text(key);
  if (!value) return std::nullopt;
  const std::string spelled = lower(*value);
  if (spelled == "true") return true;
  if (spelled == "false") return false;
  mistake(key, "true or false is expected");
  return std::nullopt;
}

std::optional<std::size_t> MapReader::word(const std::string& key, std::initializer_list<const char*> words) {
  const std::optional<std::string> value = text(key);
  if (!value) return std::nullopt;
  std::string allowed;
  std::size_t index = 0;
  for (const char* each : words) {
    if (lower(*value) == lower(each)) return index;
    allowed += (index++ == 0 ? "" : ", ") + std::string(each);
  }
  mistake(key, "unknown value; allowed: " + allowed);
  return std::nullopt;
}

std::vector<std::string> MapReader::texts(const std::string& key) {
  std::vector<std::string> all;
  const YamlValue* value = find(key);
  if (value == nullptr) return all;
  if (value->kind != Kind::kSequence) {
    mistake(key, "a list is expected");
    return all;
  }
  for (const auto& item : value->items) {
    if (std::optional<std::string> each = scalar(*item, key, item->line)) all.push_back(std::move(*each));
  }
  return all;
}

std::map<std::string, std::string> MapReader::text_map(const std::string& key) {
  std::map<std::string, std::string> all;
  std::optional<MapReader> inner = map(key);
  if (!inner) return all;
  for (const YamlValue::Member& member : inner->map_.members) {
    if (std::optional<std::string> each = inner->text(member.key)) all[member.key] = std::move(*each);
  }
  return all;
}

std::map<std::string, int> MapReader::percents(const std::string& key) {
  std::map<std::string, int> all;
  std::optional<MapReader> inner = map(key);
  if (!inner) return all;
  for (const YamlValue::Member& member : inner->map_.members) {
    if (const std::optional<std::int64_t> each = inner->integer(member.key, 0, 100)) all[member.key] = static_cast<int>(*each);
  }
  return all;
}

std::optional<MapReader> MapReader::map(const std::string& key) {
  const YamlValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->kind != Kind::kMap) {
    mistake(key, "a map of keys is expected");
    return std::nullopt;
  }
  return MapReader(file_, *value, path_of(key), mistakes_);
}

std::vector<MapReader> MapReader::maps(const std::string& key) {
  std::vector<MapReader> all;
  const YamlValue* value = find(key);
  if (value == nullptr) return all;
  if (value->kind != Kind::kSequence) {
    mistake(key, "a list is expected");
    return all;
  }
  for (std::size_t index = 0; index < value->items.size(); ++index) {
    const std::string place = key + "[" + std::to_string(index) + "]";
    if (value->items[index]->kind != Kind::kMap) {
      add(value->items[index]->line, place, "a map of keys is expected");
      continue;
    }
    all.emplace_back(file_, *value->items[index], path_of(place), mistakes_);
  }
  return all;
}

void MapReader::ignore(std::initializer_list<const char*> keys, std::vector<std::string>& told) {
  for (const char* key : keys) {
    asked_.insert(key);
    if (has(key)) told.push_back(path_of(key));
  }
}

void MapReader::finish() {
  std::string known;
  for (const YamlValue::Member& member : map_.members) {
    if (asked_.contains(member.key)) continue;
    if (known.empty()) {
      for (const std::string& each : asked_) known += (known.empty() ? "" : ", ") + each;
    }
    add(member.line, member.key, "unknown key; known here: " + known);
  }
}

}  // namespace router::config

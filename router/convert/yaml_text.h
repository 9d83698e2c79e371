#pragma once

#include <absl/status/statusor.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/yaml_document.h"

/// Trees of values, and their output as YAML that all readers understand alike, also YAML 1.1 readers such as kubectl.
namespace router::convert {

using config::YamlValue;
using Value = std::shared_ptr<const YamlValue>;

/// A text, whatever it looks like: `"5"` stays a text.
Value text(std::string value);
Value number(long long value);
Value list(std::vector<Value> items);
/// Members without a value (nullptr) are left out.
Value map(const std::vector<std::pair<std::string, Value>>& members);

/// `from` with this value for `key`: replaced, or appended if the key is new.
Value with(const YamlValue& from, const std::string& key, Value value);
/// `from` without the value at `path`, and without the maps that this leaves empty.
Value without(const YamlValue& from, const std::vector<std::string>& path);
/// The value at `path`; nullptr if there is none.
const YamlValue* find(const YamlValue& from, const std::vector<std::string>& path);

/// Writes a map in block style with yaml-cpp; lines end in \n. A scalar that had no quotes gets none and stays what it was: a
/// number, a flag or a text. Fails, with a text for a mistake, if it would be longer than `bytes_max` (a few lines with aliases
/// can stand for any amount) or contains a noncharacter of Unicode, which yaml-cpp does not write.
absl::StatusOr<std::string> write_yaml(const YamlValue& map, std::size_t bytes_max);

}  // namespace router::convert

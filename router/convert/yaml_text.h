#pragma once

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

/// Writes a map in block style; lines end with \n. A scalar that was written without quotes stays unquoted and keeps its type:
/// number, flag or text. Empty if the output would exceed `bytes_max`: a few lines with aliases can stand for any amount.
std::string write_yaml(const YamlValue& map, std::size_t bytes_max);

}  // namespace router::convert

#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/yaml_document.h"

/// Trees of values, made and written as YAML that every reader understands alike (also those of YAML 1.1, as kubectl is one).
namespace router::convert {

using config::YamlValue;
using Value = std::shared_ptr<const YamlValue>;

/// A text, whatever it looks like: `"5"` stays one.
Value text(std::string value);
Value number(long long value);
Value list(std::vector<Value> items);
/// Members without a value (nullptr) are left out.
Value map(const std::vector<std::pair<std::string, Value>>& members);

/// `from` with `key` at the end of it, in place of one that is there.
Value with(const YamlValue& from, const std::string& key, Value value);
/// `from` without what is at `path`, and without the maps that are empty then.
Value without(const YamlValue& from, const std::vector<std::string>& path);
/// What is at `path`; nullptr if there is nothing.
const YamlValue* find(const YamlValue& from, const std::vector<std::string>& path);

/// A map as a block; lines end in \n. A scalar that was written without quotes stays so, and is what it was: a number, a flag,
/// a text. Empty if it would be more than `bytes_max`: a few lines with aliases can stand for any amount.
std::string write_yaml(const YamlValue& map, std::size_t bytes_max);

}  // namespace router::convert

#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/findings.h"

namespace router::config {

/// One value of a YAML file with its location. The tree is built from yaml-cpp's events, so that duplicate keys are detected
/// and a hostile file costs no more than its limits. Aliases share the value that they refer to.
struct YamlValue {
  enum class Kind { kNull, kScalar, kSequence, kMap };
  struct Member;

  Kind kind = Kind::kNull;
  int line = 0;  // from 1
  std::string scalar;
  bool is_plain = false;  // the scalar has no quotes and no tag: other readers may take it for a number or a flag
  std::vector<std::shared_ptr<const YamlValue>> items;
  std::vector<Member> members;  // each key once; `<<` is already merged

  /// nullptr: there is no such key, or this is not a map.
  const Member* find(std::string_view key) const;
};

struct YamlValue::Member {
  std::string key;
  int line = 0;
  std::shared_ptr<const YamlValue> value;
  std::shared_ptr<const Location> elsewhere = nullptr;  // set: the member comes from an overlay, at this location (overlay.h)
};

struct YamlLimits {
  std::size_t bytes_max = 1024 * 1024;
  std::size_t depth_max = 64;
  std::size_t nodes_max = 50'000;  // of a file, counted at each use of an alias: a few lines cannot stand for millions
};

/// The content of a file. `complete` is false if it could not be read to its end: the rest is unknown.
struct YamlFile {
  std::vector<std::shared_ptr<const YamlValue>> documents;
  bool complete = true;
};

/// Reads every document of `file`. Syntax errors, limits and duplicate keys become mistakes. Throws only bad_alloc.
YamlFile read_yaml(const std::string& file, Findings& findings, const YamlLimits& limits = {});

}  // namespace router::config

#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/findings.h"

namespace router::config {

/// One value of a YAML file with its location. A tree of our own, built from yaml-cpp's events, so that duplicate keys are seen
/// and a hostile file costs no more than its limits. Aliases share the value that they stand for.
struct YamlValue {
  enum class Kind { kNull, kScalar, kSequence, kMap };
  struct Member;

  Kind kind = Kind::kNull;
  int line = 0;  // from 1
  std::string scalar;
  bool is_plain = false;  // the scalar stands without quotes and tag: other readers may take it for a number or a flag
  std::vector<std::shared_ptr<const YamlValue>> items;
  std::vector<Member> members;  // each key once; `<<` is merged already

  /// nullptr: it has no such key, or is no map.
  const Member* find(std::string_view key) const;
};

struct YamlValue::Member {
  std::string key;
  int line = 0;
  std::shared_ptr<const YamlValue> value;
  std::shared_ptr<const Location> elsewhere =
      nullptr;  // set: an overlay laid it over this map, and there it stands (overlay.h)
};

struct YamlLimits {
  std::size_t bytes_max = 1024 * 1024;
  std::size_t depth_max = 64;
  std::size_t nodes_max = 50'000;  // of a file, counted where aliases are used: a few lines cannot stand for millions
};

/// What a file holds. `complete` is false if it could not be read to its end: what it would have said is unknown.
struct YamlFile {
  std::vector<std::shared_ptr<const YamlValue>> documents;
  bool complete = true;
};

/// Reads every document of `file`. Syntax errors, limits and duplicate keys become mistakes. Throws nothing but bad_alloc.
YamlFile read_yaml(const std::string& file, Findings& findings, const YamlLimits& limits = {});

}  // namespace router::config

#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace router::config {

/// One value of a YAML file with its place. A tree of our own, built from yaml-cpp's events, so that duplicate keys are seen
/// and a hostile file costs no more than its limits.
struct YamlValue {
  enum class Kind { kNull, kScalar, kSequence, kMap };
  struct Member;

  Kind kind = Kind::kNull;
  int line = 0;         // from 1
  bool quoted = false;  // a scalar in quotes is text, whatever it looks like
  std::string scalar;
  std::vector<std::shared_ptr<const YamlValue>> items;
  std::vector<Member> members;
};

struct YamlValue::Member {
  std::string key;
  int line = 0;
  std::shared_ptr<const YamlValue> value;
};

/// A mistake at a place: `file:line: key.path: what is wrong, what is allowed`.
struct Mistake {
  std::string file;
  int line = 0;
  std::string text;
};

struct YamlLimits {
  std::size_t bytes_max = 1024 * 1024;
  std::size_t depth_max = 64;
  std::size_t nodes_max = 50'000;  // counted where aliases are used, so that a few lines cannot stand for millions
};

/// Reads every document of `file`. On a mistake adds it and returns nothing.
std::vector<std::shared_ptr<const YamlValue>> read_yaml(const std::string& file, std::vector<Mistake>& mistakes,
                                                        const YamlLimits& limits = {});

}  // namespace router::config
